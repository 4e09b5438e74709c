// Recompute an artifact's space id by docs/spec/space-id.md, in Go, with nothing but its standard library.
//
// Call: go run verify_space_id.go ARTIFACT_FOLDER_OR_MANIFEST [PUBLIC_KEY.pem]
// With a folder, its files are hashed too; with a key, its certificate is checked. Ends with status 1 and the reason
// at the first thing that does not fit.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"unicode/utf16"
)

type object = map[string]any

func check(fits bool, reason string) {
	if !fits {
		fmt.Fprintln(os.Stderr, "does not fit: "+reason)
		os.Exit(1)
	}
}

func read(path string) []byte {
	data, err := os.ReadFile(path)
	check(err == nil, path+" cannot be read")
	return data
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func parse(data []byte) object {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // the token's text says whether a number is an integer or a double
	var value object
	check(decoder.Decode(&value) == nil, "not a JSON object")
	return value
}

func double(token string) string {
	value, err := strconv.ParseFloat(token, 64)
	check(err == nil, token)
	text := strconv.FormatFloat(value, 'e', -1, 64) // shortest digits, two digits of exponent at least
	exponent, _ := strconv.Atoi(text[strings.IndexByte(text, 'e')+1:])
	if -4 <= exponent && exponent < 16 {
		text = strconv.FormatFloat(value, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
	}
	return text
}

func quoted(text string) string {
	short := map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\f': `\f`, '\b': `\b`}
	var out strings.Builder
	for _, r := range text {
		if escape, known := short[r]; known {
			out.WriteString(escape)
		} else if 0x20 <= r && r <= 0x7e {
			out.WriteRune(r)
		} else {
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&out, `\u%04x`, unit)
			}
		}
	}
	return `"` + out.String() + `"`
}

func canonical(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case string:
		return quoted(v)
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return double(v.String())
		}
		return v.String()
	case []any:
		parts := make([]string, len(v))
		for i, each := range v {
			parts[i] = canonical(each)
		}
		return "[" + strings.Join(parts, ",") + "]"
	case object:
		keys := make([]string, 0, len(v))
		for key := range v {
			keys = append(keys, key)
		}
		sort.Strings(keys) // UTF-8 bytes are in the order of code points
		for i, key := range keys {
			keys[i] = quoted(key) + ":" + canonical(v[key])
		}
		return "{" + strings.Join(keys, ",") + "}"
	}
	check(false, fmt.Sprintf("a value of type %T", value))
	return ""
}

func verifyManifest(path string) object {
	manifest := parse(read(path))
	found := digest([]byte(canonical(manifest["identity"])))
	check(found == manifest["space_id"], "identity gives "+found)
	return manifest
}

func verifyFolder(folder string) object {
	manifest := verifyManifest(filepath.Join(folder, "manifest.json"))
	identity := manifest["identity"].(object)
	for name, entry := range manifest["files"].(object) {
		check(digest(read(filepath.Join(folder, name))) == entry.(object)["sha256"], "bytes of "+name)
	}
	if tokenizer, has := identity["tokenizer"]; has {
		file := manifest["files"].(object)["tokenizer.json"].(object)
		check(file["sha256"] == tokenizer, "tokenizer.json")
	}
	if parts, has := manifest["parts"].(object); has {
		names := []string{}
		for name := range parts {
			names = append(names, name)
		}
		sort.Strings(names)
		if _, towers := parts["query"]; towers {
			names = []string{"query", "passage"}
		}
		for i, name := range names {
			inner := filepath.Join(folder, name)
			check(digest(read(filepath.Join(inner, "manifest.json"))) == parts[name], "manifest of "+name)
			id := identity["parts"].([]any)[i].([]any)[0]
			check(verifyFolder(inner)["space_id"] == id, "space id of "+name)
		}
	}
	return manifest
}

func verifyCertificate(folder string, keyFile string) {
	block, _ := pem.Decode(read(keyFile))
	check(block != nil, "no PEM in "+keyFile)
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	key, isEd25519 := parsed.(ed25519.PublicKey)
	check(err == nil && isEd25519, "no ed25519 key in "+keyFile)
	envelope := parse(read(filepath.Join(folder, "certificate.json")))
	kind := envelope["payloadType"].(string)
	payload, err := base64.StdEncoding.DecodeString(envelope["payload"].(string))
	check(err == nil && kind == "application/vnd.samespace.certificate+json", "the envelope")
	signed := []byte(fmt.Sprintf("DSSEv1 %d %s %d %s", len(kind), kind, len(payload), payload))
	for _, each := range envelope["signatures"].([]any) {
		signature, _ := base64.StdEncoding.DecodeString(each.(object)["sig"].(string))
		if each.(object)["keyid"] == digest(block.Bytes) && ed25519.Verify(key, signed, signature) {
			found := digest(read(filepath.Join(folder, "manifest.json")))
			check(parse(payload)["manifest_sha256"] == found, "the certificate is of another manifest")
			return
		}
	}
	check(false, "no signature of this key")
}

func main() {
	path := os.Args[1]
	info, err := os.Stat(path)
	check(err == nil, path)
	var manifest object
	if info.IsDir() {
		manifest = verifyFolder(path)
	} else {
		manifest = verifyManifest(path)
	}
	if len(os.Args) > 2 {
		verifyCertificate(path, os.Args[2])
	}
	fmt.Println(manifest["space_id"])
}
