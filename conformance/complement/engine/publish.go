package main

import (
	"errors"
	"io"
	"net"
	"time"
)

// publication is the published client port of one container, handed on to the container's own address as container
// engines do it, while the container exists.
//
// Tests take the time before a request and compare it, in whole milliseconds, with the time that the server gave to what
// the request made. Over an engine's network these never fall into one millisecond; over loopback they do. So what a
// client sends reaches the server in the millisecond after it was sent, and never in the same.
type publication struct {
	listener net.Listener
	target   string
}

func publish(from, to string) (*publication, error) {
	listener, err := net.Listen("tcp", from)
	if err != nil {
		return nil, err
	}
	p := &publication{listener: listener, target: to}
	go p.serve()
	return p, nil
}

func (p *publication) serve() {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			go p.handOn(client.(*net.TCPConn))
		}
	}
}

// handOn carries one connection; a client whose server does not listen sees it closed.
func (p *publication) handOn(client *net.TCPConn) {
	defer client.Close()
	connection, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	server := connection.(*net.TCPConn)
	defer server.Close()
	go func() {
		_, _ = io.Copy(nextMillisecond{server}, client)
		_ = server.CloseWrite()
	}()
	_, _ = io.Copy(client, server)
}

func (p *publication) end() { _ = p.listener.Close() }

// nextMillisecond writes when the clock's millisecond has passed.
type nextMillisecond struct{ to io.Writer }

func (w nextMillisecond) Write(data []byte) (int, error) {
	next := time.Now().Truncate(time.Millisecond).Add(time.Millisecond)
	for now := time.Now(); now.Before(next); now = time.Now() {
		time.Sleep(next.Sub(now))
	}
	return w.to.Write(data)
}
