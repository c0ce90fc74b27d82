package main

import (
	"archive/tar"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// version is that of the engine's API whose forms are answered.
const version = "1.43"

// handler answers one request: a status and a body, or an error for status 500 (404 for errNotFound).
type handler func(r *http.Request) (int, any, error)

var errNotFound = errors.New("no such thing")

// routes is the part of the engine's API that Complement uses, under any version prefix.
func (s *state) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, handle := range map[string]handler{
		"GET /images/json":              s.listImages,
		"DELETE /images/{id}":           s.removeImage,
		"GET /networks":                 s.listNetworks,
		"POST /networks/create":         s.createNetwork,
		"DELETE /networks/{id}":         s.removeNetwork,
		"GET /containers/json":          s.listContainers,
		"POST /containers/create":       s.createContainer,
		"POST /commit":                  s.commitContainer,
		"DELETE /containers/{id}":       s.with(func(c *container, _ *http.Request) error { return s.remove(c) }),
		"PUT /containers/{id}/archive":  s.with(unpack),
		"POST /containers/{id}/start":   s.with(func(c *container, _ *http.Request) error { return c.start() }),
		"POST /containers/{id}/kill":    s.with(func(c *container, _ *http.Request) error { c.kill(); return nil }),
		"POST /containers/{id}/pause":   s.with(func(c *container, _ *http.Request) error { return c.pause() }),
		"POST /containers/{id}/unpause": s.with(func(c *container, _ *http.Request) error { return c.resume() }),
		"POST /containers/{id}/stop":    s.with(stop),
		"GET /containers/{id}/json":     s.inspectContainer,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { answer(w, r, handle) })
	}
	mux.HandleFunc("GET /containers/{id}/logs", s.logs)
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("API-Version", version) })
	prefix := regexp.MustCompile(`^/v[0-9.]+/`)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = prefix.ReplaceAllString(r.URL.Path, "/")
		mux.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, r *http.Request, handle handler) {
	status, body, err := handle(r)
	if err != nil {
		status, body = http.StatusInternalServerError, map[string]string{"message": err.Error()}
		if errors.Is(err, errNotFound) {
			status = http.StatusNotFound
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if status != http.StatusNoContent {
		_ = json.NewEncoder(w).Encode(body)
	}
}

// with finds the container and does something to it.
func (s *state) with(act func(c *container, r *http.Request) error) handler {
	return func(r *http.Request) (int, any, error) {
		c, err := s.container(r.PathValue("id"))
		if err != nil {
			return 0, nil, err
		}
		return http.StatusNoContent, nil, act(c, r)
	}
}

func (s *state) container(id string) (*container, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if c, ok := s.containers[id]; ok {
		return c, nil
	}
	return nil, fmt.Errorf("container %q: %w", id, errNotFound)
}

func (s *state) listImages(r *http.Request) (int, any, error) {
	matches, err := wanted(r.URL.Query().Get("filters"))
	if err != nil {
		return 0, nil, err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	list := []map[string]any{}
	for _, i := range s.images {
		if matches(i.labels) {
			tags := []string{"localhost/complement:" + i.id}
			list = append(list, map[string]any{"Id": i.id, "Labels": i.labels, "RepoTags": tags})
		}
	}
	return http.StatusOK, list, nil
}

func (s *state) removeImage(r *http.Request) (int, any, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	i, ok := s.images[r.PathValue("id")]
	if !ok {
		return 0, nil, errNotFound
	}
	delete(s.images, i.id)
	return http.StatusOK, []map[string]string{{"Deleted": i.id}}, os.RemoveAll(i.data)
}

func (s *state) listNetworks(r *http.Request) (int, any, error) {
	matches, err := wanted(r.URL.Query().Get("filters"))
	if err != nil {
		return 0, nil, err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	list := []map[string]any{}
	for _, n := range s.networks {
		if matches(n.labels) {
			list = append(list, map[string]any{"Id": n.id, "Name": n.name, "Labels": n.labels})
		}
	}
	return http.StatusOK, list, nil
}

func (s *state) createNetwork(r *http.Request) (int, any, error) {
	var asked struct {
		Name   string
		Labels map[string]string
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		return 0, nil, err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	n := &network{id: fmt.Sprintf("network%d", s.number()), name: asked.Name, labels: asked.Labels}
	s.networks[n.id] = n
	return http.StatusCreated, map[string]string{"Id": n.id, "Warning": ""}, nil
}

func (s *state) removeNetwork(r *http.Request) (int, any, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.networks, r.PathValue("id"))
	return http.StatusNoContent, nil, nil
}

func (s *state) listContainers(r *http.Request) (int, any, error) {
	matches, err := wanted(r.URL.Query().Get("filters"))
	if err != nil {
		return 0, nil, err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	list := []map[string]any{}
	for _, c := range s.containers {
		if matches(c.labels) {
			list = append(list, map[string]any{"Id": c.id, "Names": []string{"/" + c.name}, "Labels": c.labels})
		}
	}
	return http.StatusOK, list, nil
}

func (s *state) createContainer(r *http.Request) (int, any, error) {
	var asked creation
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		return 0, nil, err
	}
	c, err := s.create(r.URL.Query().Get("name"), asked)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, map[string]any{"Id": c.id, "Warnings": []string{}}, nil
}

// change is the only kind of change to an image's configuration that Complement makes.
var change = regexp.MustCompile(`^LABEL "(.*)"="(.*)"$`)

func (s *state) commitContainer(r *http.Request) (int, any, error) {
	query := r.URL.Query()
	c, err := s.container(query.Get("container"))
	if err != nil {
		return 0, nil, err
	}
	labels := map[string]string{}
	for _, text := range query["changes"] {
		parts := change.FindStringSubmatch(text)
		if parts == nil {
			return 0, nil, fmt.Errorf("not a label: %s", text)
		}
		labels[parts[1]] = parts[2]
	}
	i, err := s.commit(c, labels)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, map[string]string{"Id": "sha256:" + i.id}, nil
}

func (s *state) inspectContainer(r *http.Request) (int, any, error) {
	c, err := s.container(r.PathValue("id"))
	if err != nil {
		return 0, nil, err
	}
	running := c.isRunning()
	status := "exited"
	if running {
		status = "running"
	}
	ports := map[string]any{}
	for _, port := range []int{clientPort, federationPort} {
		published := map[string]string{"HostIp": "127.0.0.1", "HostPort": strconv.Itoa(c.published(port))}
		ports[fmt.Sprintf("%d/tcp", port)] = []any{published}
	}
	return http.StatusOK, map[string]any{
		"Id":              c.id,
		"Name":            "/" + c.name,
		"State":           map[string]any{"Running": running, "Status": status},
		"Config":          map[string]any{"Labels": c.labels},
		"NetworkSettings": map[string]any{"Ports": ports},
	}, nil
}

func stop(c *container, r *http.Request) error {
	patience := 10 * time.Second
	if seconds, err := strconv.Atoi(r.URL.Query().Get("t")); err == nil {
		patience = time.Duration(seconds) * time.Second
	}
	c.stop(patience)
	return nil
}

// unpack writes an archive's files below the container's folder.
func unpack(c *container, r *http.Request) error {
	archive := tar.NewReader(r.Body)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		path := c.file(filepath.Clean("/" + header.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
	}
}

// logs sends what the server said as one frame of the engine's stream of standard output.
func (s *state) logs(w http.ResponseWriter, r *http.Request) {
	c, err := s.container(r.PathValue("id"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	text, err := os.ReadFile(c.file("log"))
	if err != nil {
		text = []byte(err.Error())
	}
	frame := []byte{1, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(frame[4:], uint32(len(text)))
	_, _ = w.Write(append(frame, text...))
}
