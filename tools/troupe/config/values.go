package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/troupe-sched/troupe/actors/model"
)

// Bounds of what may be written.
const (
	maxText    = 4096 // bytes of one value
	maxEntries = 256  // entries of a list or a map
)

// parse makes of what is written the value that Config holds. raw is a string from the environment and from flags, and
// what YAML makes of it from a file. It fails with a *model.Mistake.
func (k key) parse(raw any) (any, error) {
	switch k.kind {
	case kindList:
		return parseList(raw)
	case kindURLs:
		return parseServers(raw)
	case kindMap:
		return parseMap(raw)
	}
	text, err := scalar(raw)
	if err != nil {
		return nil, err
	}
	if k.oneof != nil {
		return text, k.choose(text)
	}
	switch k.kind {
	case kindBool:
		return parseBool(text)
	case kindNumber:
		return k.bounded(parseNumber(text))
	case kindDuration:
		return model.ParseDuration(text)
	case kindCPU:
		return k.bounded(model.ParseCPU(text))
	case kindBytes:
		return k.bounded(model.ParseBytes(text))
	case kindRate:
		return k.bounded(model.ParseRate(text))
	case kindName:
		return text, checkName(text)
	case kindDir, kindPath:
		return text, k.checkPath(text)
	case kindURL:
		return text, checkServers(text)
	case kindHTTP:
		return text, checkHTTP(text)
	case kindAddress:
		return text, checkAddress(text)
	}
	return text, nil
}

// scalar is a single value as text.
func scalar(raw any) (string, error) {
	var text string
	switch v := raw.(type) {
	case string:
		text = v
	case bool, int, int64, uint64, float64:
		text = fmt.Sprint(v)
	case time.Time:
		return "", mistake("put it into quotes, or YAML takes it for a date", "is a date")
	default:
		return "", mistake("write a single value", "is %s", shape(raw))
	}
	switch {
	case len(text) > maxText:
		return "", mistake(fmt.Sprintf("at most %d", maxText), "has %d bytes", len(text))
	case !utf8.ValidString(text):
		return "", mistake("write UTF-8", "is not valid UTF-8")
	case strings.ContainsFunc(text, unicode.IsControl):
		return "", mistake("use printable text", "contains a control character")
	}
	return text, nil
}

func shape(raw any) string {
	switch raw.(type) {
	case []any:
		return "a list"
	case map[string]any:
		return "a map"
	}
	return fmt.Sprintf("a %T", raw)
}

func mistake(hint, format string, args ...any) error {
	return &model.Mistake{Problem: fmt.Sprintf(format, args...), Hint: hint}
}

func (k key) choose(text string) error {
	if slices.Contains(k.oneof, text) {
		return nil
	}
	hint := "one of " + strings.Join(k.oneof, ", ")
	if near := model.Nearest(text, k.oneof); near != "" {
		hint = "did you mean " + near + "?"
	}
	return mistake(hint, "unknown value %s", model.Quote(text))
}

func (k key) bounded(n int64, err error) (any, error) {
	if err == nil && n < k.least {
		err = mistake(fmt.Sprintf("at least %d", k.least), "%d is too small", n)
	}
	return n, err
}

func parseNumber(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return 0, mistake("write a whole number", "%s is not a whole number", model.Quote(text))
	case n < 0 || n > model.MaxAmount:
		return 0, mistake(fmt.Sprintf("from 0 to %d", model.MaxAmount), "%d is out of range", n)
	}
	return n, nil
}

func parseBool(text string) (any, error) {
	switch text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return nil, mistake("true or false", "unknown value %s", model.Quote(text))
}

func parseList(raw any) ([]string, error) {
	var elements []any
	switch v := raw.(type) {
	case []any:
		elements = v
	case string:
		for part := range strings.SplitSeq(v, ",") {
			if v != "" {
				elements = append(elements, strings.TrimSpace(part))
			}
		}
	default:
		return nil, mistake("write a list", "is %s", shape(raw))
	}
	if len(elements) > maxEntries {
		return nil, mistake(fmt.Sprintf("at most %d", maxEntries), "has %d entries", len(elements))
	}
	list := make([]string, len(elements))
	for i, e := range elements {
		text, err := scalar(e)
		if err != nil {
			return nil, mistake("a single value each", "entry %d %v", i+1, err)
		}
		list[i] = text
	}
	return list, nil
}

func parseServers(raw any) (any, error) {
	list, err := parseList(raw)
	if err != nil {
		return nil, err
	}
	for _, server := range list {
		if err := checkServers(server); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// parseMap reads a map of YAML, or k=v,k=v.
func parseMap(raw any) (any, error) {
	entries := map[string]string{}
	switch v := raw.(type) {
	case map[string]any:
		for name, value := range v {
			text, err := scalar(value)
			if err != nil {
				return nil, mistake("a single value each", "%s %v", model.Quote(name), err)
			}
			entries[name] = text
		}
	case string:
		for part := range strings.SplitSeq(v, ",") {
			if v == "" {
				break
			}
			name, value, ok := strings.Cut(part, "=")
			if !ok {
				return nil, mistake("write name=value,name=value", "%s has no =", model.Quote(part))
			}
			entries[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	default:
		return nil, mistake("write a map", "is %s", shape(raw))
	}
	if len(entries) > maxEntries {
		return nil, mistake(fmt.Sprintf("at most %d", maxEntries), "has %d entries", len(entries))
	}
	for name := range entries {
		if !model.ValidKey(name) {
			return nil, mistake(fmt.Sprintf("1 to %d of A-Z, a-z, 0-9, _, ., / and -, the first a letter or a digit", model.MaxKeyLen),
				"%s is not a key", model.Quote(name))
		}
	}
	return entries, nil
}

func checkName(text string) error {
	if model.ValidName(text) {
		return nil
	}
	return mistake(fmt.Sprintf("1 to %d of a-z, 0-9, _ and -, the first a letter or a digit", model.MaxNameLen),
		"%s is not a name", model.Quote(text))
}

// checkPath catches the tilde, which no shell is there to replace.
func (k key) checkPath(text string) error {
	switch {
	case text == "" && k.kind == kindDir:
		return mistake("name a folder", "is empty")
	case strings.HasPrefix(text, "~"):
		return mistake("write the path in full", "%s begins with ~, which is not replaced here", model.Quote(text))
	}
	return nil
}

func checkServers(text string) error {
	if text == "" {
		return nil
	}
	for part := range strings.SplitSeq(text, ",") {
		u, err := url.Parse(strings.TrimSpace(part))
		if err != nil || u.Hostname() == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			return mistake("write nats://host:port, several with commas", "%s is not a NATS server", model.Quote(withoutUser(part)))
		}
	}
	return nil
}

func checkHTTP(text string) error {
	u, err := url.Parse(text)
	if text == "" || err == nil && u.Hostname() != "" && (u.Scheme == "http" || u.Scheme == "https") {
		return nil
	}
	return mistake("write http://host:port or https://host", "%s is not a web server", model.Quote(withoutUser(text)))
}

func checkAddress(text string) error {
	if text == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return mistake("write host:port, such as 127.0.0.1:4222", "%s is not an address", model.Quote(text))
	}
	return nil
}

// withoutUser hides the user part of every server in text: it may be a password or a token.
func withoutUser(text string) string {
	parts := strings.Split(text, "://") // a user part stands between :// and the last @ before the next one
	first := min(1, len(parts)-1)
	for i := first; i < len(parts); i++ {
		if at := strings.LastIndexByte(parts[i], '@'); at > 0 {
			parts[i] = hidden + parts[i][at:]
		}
	}
	return strings.Join(parts, "://")
}
