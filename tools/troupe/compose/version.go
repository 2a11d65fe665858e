package compose

import (
	"regexp"
	"strings"
)

var (
	release  = regexp.MustCompile(`^v?((0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?)$`)
	notBuild = regexp.MustCompile(`[^0-9A-Za-z-]+`)
)

// semantic is the version in the form that NATS services must have. A build between releases is version 0.0.0 with the
// build's name behind a plus.
func semantic(version string) string {
	if m := release.FindStringSubmatch(version); m != nil {
		return m[1]
	}
	if build := strings.Trim(notBuild.ReplaceAllString(version, "-"), "-"); build != "" {
		return "0.0.0+" + build
	}
	return "0.0.0"
}
