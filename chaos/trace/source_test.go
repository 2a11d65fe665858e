package trace

import "testing"

// What a queue is promised is said, or said to be nothing; a name alone is neither.
func TestX3_F25_WhatAQueueIsPromisedIsSaid(t *testing.T) {
	for text, right := range map[string]bool{
		"web:cpu=8,memory=16Gi,gpu=4000": true, "web:": true, "web:max_slots=3": true,
		"web": false, ":cpu=8": false, "web:cpu": false, "web:cpu=x": false, "web:gpu=1.5": false, "web:max_jobs=many": false,
	} {
		q, err := ParseQueue(text)
		if (err == nil) != right || right && q.Name != "web" {
			t.Errorf("%q: %v, %v", text, q, err)
		}
	}
}
