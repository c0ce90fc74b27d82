package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"time"
)

// Where Complement copies its certificate authority to.
const (
	authorityCertificate = "complement/ca/ca.crt"
	authorityKey         = "complement/ca/ca.key"
)

// writeCertificate has Complement's authority certify the server's name: "tls.crt" and "tls.key" in the folder.
func (c *container) writeCertificate() error {
	authority, authorityKey, err := c.authority()
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: c.server},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(1, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{c.server},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, authority, key.Public(), authorityKey)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		writePEM(c.file("tls.crt"), "CERTIFICATE", certificate),
		writePEM(c.file("tls.key"), "PRIVATE KEY", private),
	)
}

func (c *container) authority() (*x509.Certificate, any, error) {
	certificate, err := readPEM(c.file(authorityCertificate))
	if err != nil {
		return nil, nil, err
	}
	key, err := readPEM(c.file(authorityKey))
	if err != nil {
		return nil, nil, err
	}
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, nil, err
	}
	private, err := x509.ParsePKCS1PrivateKey(key)
	return parsed, private, err
}

func readPEM(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New(path + " is no PEM file")
	}
	return block.Bytes, nil
}

func writePEM(path, kind string, content []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600)
}
