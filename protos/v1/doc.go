// Package v1 holds the words that cross hosts or live on disk: the schema of jobs, the API, the agent protocol and the
// journal. What each means stands in the .proto files beside it; the Go code is made from them by tools/protogen.
package v1
