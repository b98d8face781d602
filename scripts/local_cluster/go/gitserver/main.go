// gitserver serves the bare repositories of a folder over Git's smart HTTP protocol, with Git's own CGI program.
//
//	gitserver ADDRESS FOLDER
package main

import (
	"fmt"
	"log"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: gitserver ADDRESS FOLDER")
		os.Exit(2)
	}
	execPath, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		log.Fatalf("git --exec-path: %v", err)
	}
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(execPath)), "git-http-backend"),
		Env: []string{
			"GIT_PROJECT_ROOT=" + os.Args[2],
			"GIT_HTTP_EXPORT_ALL=1",
			// The folder belongs to whoever ran `scripts/up`; Git refuses other people's folders otherwise.
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
		},
	}
	log.Fatal(http.ListenAndServe(os.Args[1], backend))
}
