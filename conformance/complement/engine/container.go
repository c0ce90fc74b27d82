package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	// binaryVariable names the homeserver to run.
	binaryVariable = "TEST_MYELIN_BINARY"
	// What Complement expects of an image.
	clientPort, federationPort = 8008, 8448
	// Where published ports begin: below those that the system gives out by itself.
	firstPublished = 10_000
	// withHosts is how this program calls itself to run a server with its own hosts file.
	withHosts = "-with-hosts"
)

// container is one homeserver: a folder and, while it runs, a process.
type container struct {
	id, name, server string
	number           int
	labels           map[string]string
	folder, hosts    string

	mutex   sync.Mutex
	process *exec.Cmd
	// client is the published client port; it stays when the process is stopped and started again.
	client *publication
	// ended is closed when the process has ended.
	ended chan struct{}
}

func (c *container) file(name string) string { return filepath.Join(c.folder, name) }

// data is what the server stores, and what an image keeps.
func (c *container) data() string { return c.file("data") }

// address is the container's own on the loopback network, where the other servers find it.
func (c *container) address() string { return fmt.Sprintf("127.1.%d.%d", c.number/250, 1+c.number%250) }

// published is where the tests find one of its ports.
func (c *container) published(port int) int {
	first := firstPublished + 2*c.number
	if port == federationPort {
		first++
	}
	return first
}

// configuration is what Complement asks of every homeserver: open registration, the shared secret "complement", no rate
// limits, and federation that trusts Complement's authority and reaches private addresses. Rooms are of version 10 where
// a test does not say, as when these tests were written: they look for the creator where version 11 has none, and give it
// a power level, which version 12 forbids.
func (c *container) configuration() string {
	return fmt.Sprintf(`server_name = %q
public_url = "http://127.0.0.1:%d"
data_dir = %q
listen = ["%s:%d"]
registration = "open"
registration_shared_secret = "complement"
default_room_version = "10"

[tls]
listen = ["%s:%d", "127.0.0.1:%d"]
cert = %q
key = %q

[passwords]
minimum_length = 6
minimum_score = 0

[federation]
trusted_ca = %q
allow_private_addresses = true

[url_previews]
allow_private_addresses = true
ports = []

[limits]
enabled = false

[log]
format = "text"
`, c.server, c.published(clientPort), c.data(), c.address(), clientPort, c.address(), federationPort,
		c.published(federationPort), c.file("tls.crt"), c.file("tls.key"), c.file(authorityCertificate))
}

func (c *container) start() error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	program := os.Getenv(binaryVariable)
	if program == "" {
		return fmt.Errorf("%s does not name the homeserver's binary", binaryVariable)
	}
	if c.process != nil {
		return errors.New("it runs already")
	}
	if err := c.publishClientPort(); err != nil {
		return err
	}
	if err := c.writeCertificate(); err != nil {
		return err
	}
	if err := os.WriteFile(c.file("config.toml"), []byte(c.configuration()), 0o600); err != nil {
		return err
	}
	log, err := os.OpenFile(c.file("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	process := exec.Command(self, withHosts, c.hosts, program, "--config", c.file("config.toml"))
	process.Stdout, process.Stderr, process.Dir = log, log, c.folder
	// Nothing of the surroundings may change what is tested.
	process.Env = []string{"PATH=" + os.Getenv("PATH")}
	process.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if err := process.Start(); err != nil {
		return err
	}
	c.process, c.ended = process, make(chan struct{})
	go func(ended chan struct{}) {
		_ = process.Wait()
		close(ended)
	}(c.ended)
	return nil
}

// publishClientPort does it once; the mutex is held. (The federation port is the server's own to listen on.)
func (c *container) publishClientPort() error {
	if c.client != nil {
		return nil
	}
	var err error
	c.client, err = publish(fmt.Sprintf("127.0.0.1:%d", c.published(clientPort)),
		fmt.Sprintf("%s:%d", c.address(), clientPort))
	return err
}

// execWithHosts becomes the program, with the file as its hosts file; the mounts are its own already.
func execWithHosts(hosts string, program []string) error {
	if err := syscall.Mount(hosts, "/etc/hosts", "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("cannot mount the hosts file: %w", err)
	}
	return syscall.Exec(program[0], program, os.Environ())
}

func (c *container) isRunning() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.runs()
}

// runs is isRunning with the mutex held.
func (c *container) runs() bool {
	if c.process == nil {
		return false
	}
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// stop asks the process to end, and ends it where that takes too long.
func (c *container) stop(patience time.Duration) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.runs() {
		_ = c.process.Process.Signal(syscall.SIGTERM)
		select {
		case <-c.ended:
		case <-time.After(patience):
			_ = c.process.Process.Kill()
			<-c.ended
		}
	}
	c.process = nil
}

// kill ends the process at once, and what it published.
func (c *container) kill() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.runs() {
		_ = c.process.Process.Kill()
		<-c.ended
	}
	c.process = nil
	if c.client != nil {
		c.client.end()
		c.client = nil
	}
}

func (c *container) pause() error  { return c.signal(syscall.SIGSTOP) }
func (c *container) resume() error { return c.signal(syscall.SIGCONT) }

func (c *container) signal(signal syscall.Signal) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if !c.runs() {
		return errors.New("it does not run")
	}
	return c.process.Process.Signal(signal)
}
