package trace

import "errors"

func (s *Source) swf(*Options) (*Workload, error) { return nil, errors.New("later") }
