package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// baseImage is the image of a server that has never run: an empty folder.
const baseImage = "homeserver"

// image is the folder of a container as it was when it was committed.
type image struct {
	id     string
	labels map[string]string
	// data is empty for the base image.
	data string
}

// network is only a name: all containers share the namespace.
type network struct {
	id, name string
	labels   map[string]string
}

// state is everything the engine knows. All of it is guarded by the mutex but what containers guard themselves.
type state struct {
	mutex      sync.Mutex
	folder     string
	next       int
	images     map[string]*image
	networks   map[string]*network
	containers map[string]*container
}

func newState(folder string) *state {
	return &state{
		folder:     folder,
		images:     map[string]*image{baseImage: {id: baseImage}},
		networks:   map[string]*network{},
		containers: map[string]*container{},
	}
}

// number is a new one; the mutex is held.
func (s *state) number() int {
	s.next++
	return s.next
}

// end kills what still runs.
func (s *state) end() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, c := range s.containers {
		c.kill()
	}
}

// creation is what the engine's client asks of a new container, as far as it matters here.
type creation struct {
	Image            string
	Env              []string
	Labels           map[string]string
	NetworkingConfig struct {
		EndpointsConfig map[string]struct{ Aliases []string }
	}
}

// create makes a container with the files of its image.
func (s *state) create(name string, asked creation) (*container, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	from, ok := s.images[strings.TrimPrefix(asked.Image, "sha256:")]
	if !ok {
		return nil, fmt.Errorf("no image %q", asked.Image)
	}
	n := s.number()
	c := &container{
		id:     fmt.Sprintf("container%d", n),
		name:   name,
		number: n,
		labels: map[string]string{},
		folder: filepath.Join(s.folder, fmt.Sprintf("container%d", n)),
		hosts:  filepath.Join(s.folder, "hosts-"+group(name, asked)),
	}
	maps.Copy(c.labels, from.labels)
	maps.Copy(c.labels, asked.Labels)
	for _, variable := range asked.Env {
		if server, found := strings.CutPrefix(variable, "SERVER_NAME="); found {
			c.server = server
		}
	}
	if err := os.MkdirAll(c.folder, 0o700); err != nil {
		return nil, err
	}
	if from.data != "" {
		if err := copyFiles(from.data, c.data()); err != nil {
			return nil, err
		}
	}
	s.containers[c.id] = c
	return c, s.writeHosts(c.hosts)
}

// group tells deployments apart that live at once on one network: each has its own "hs1". The name of a container ends
// with its context and a number; what comes before names the deployment.
func group(name string, asked creation) string {
	if before, _, found := strings.Cut(name, "_"+asked.Labels["complement_context"]); found {
		return before
	}
	for network := range asked.NetworkingConfig.EndpointsConfig {
		return network
	}
	return name
}

// writeHosts writes the names of a deployment's servers in place, since the file is mounted where they run; the mutex
// is held.
func (s *state) writeHosts(path string) error {
	text := "127.0.0.1 localhost host.docker.internal\n"
	for _, c := range s.containers {
		if c.hosts == path {
			text += fmt.Sprintf("%s %s\n", c.address(), c.server)
		}
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// commit makes an image of a stopped container.
func (s *state) commit(c *container, labels map[string]string) (*image, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	i := &image{id: fmt.Sprintf("image%d", s.number()), labels: map[string]string{}}
	maps.Copy(i.labels, c.labels)
	maps.Copy(i.labels, labels)
	i.data = filepath.Join(s.folder, i.id)
	if err := copyFiles(c.data(), i.data); err != nil {
		return nil, err
	}
	s.images[i.id] = i
	return i, nil
}

// remove kills a container and deletes its files.
func (s *state) remove(c *container) error {
	c.kill()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.containers, c.id)
	if err := s.writeHosts(c.hosts); err != nil {
		return err
	}
	return os.RemoveAll(c.folder)
}

// wanted reads the filters of a list: every label, as "key" or "key=value", must be there.
func wanted(filters string) (func(labels map[string]string) bool, error) {
	var parsed struct{ Label map[string]bool }
	if filters != "" {
		if err := json.Unmarshal([]byte(filters), &parsed); err != nil {
			return nil, err
		}
	}
	return func(labels map[string]string) bool {
		for filter := range parsed.Label {
			key, value, exact := strings.Cut(filter, "=")
			found, ok := labels[key]
			if !ok || (exact && found != value) {
				return false
			}
		}
		return true
	}, nil
}

// copyFiles copies folders and plain files; a socket that a server left behind stays where it is.
func copyFiles(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o600)
	})
}
