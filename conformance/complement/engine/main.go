// Command engine runs one of Complement's test programs against homeservers that are plain processes.
//
//	engine test-program [argument...]
//
// Complement talks to a container engine: it makes "containers" from an "image", copies files into them, starts, stops
// and inspects them. This program answers that part of the engine's HTTP API on a socket of its own, with a container
// being a folder and a process, and an image the folder of a stopped one. So upstream's tests run as they are, those
// that build on blueprints included, and no container engine is needed.
//
// It wants a network namespace for itself (see in-namespace.sh): ports are given out from a fixed number on.
package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
)

func main() {
	arguments := os.Args[1:]
	if len(arguments) > 2 && arguments[0] == withHosts {
		fatal(execWithHosts(arguments[1], arguments[2:]))
	}
	if len(arguments) == 0 {
		fatal(errors.New("usage: engine test-program [argument...]"))
	}
	code, err := run(arguments)
	if err != nil {
		fatal(err)
	}
	os.Exit(code)
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "engine:", err)
	os.Exit(1)
}

// run serves the API while the test program runs, and says how that ended.
func run(arguments []string) (int, error) {
	folder, err := os.MkdirTemp("", "complement-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	socket := filepath.Join(folder, "engine.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return 0, err
	}
	state := newState(folder)
	defer state.end()
	go func() { _ = http.Serve(listener, state.routes()) }()

	test := exec.Command(arguments[0], arguments[1:]...)
	test.Stdin, test.Stdout, test.Stderr = os.Stdin, os.Stdout, os.Stderr
	test.Env = append(os.Environ(), "DOCKER_HOST=unix://"+socket, "COMPLEMENT_BASE_IMAGE="+baseImage)
	err = test.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return max(ended.ExitCode(), 1), nil
	}
	return 0, err
}
