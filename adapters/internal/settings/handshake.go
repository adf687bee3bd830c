package settings

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// Handshake is what an error of a TLS connection points at: a setting, and in words what to do. It is empty where err is
// none.
func Handshake(err error) (setting, remedy string) {
	var header tls.RecordHeaderError
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verification *tls.CertificateVerificationError
	var remote *net.OpError
	switch {
	case errors.As(err, &header):
		return "tls.enabled", "the server does not speak TLS at this address: name another one, or remove the section tls"
	case errors.As(err, &authority):
		return "tls.ca_file", "name the authority that signed the certificate of the server, which is that certificate where it signed itself"
	case errors.As(err, &hostname):
		return "tls.server_name", "write a name that the certificate of the server holds"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "tls", fmt.Sprintf("the certificate of the server holds from %s to %s: renew it there, or set the clock of this machine",
			invalid.Cert.NotBefore.Format(time.RFC3339), invalid.Cert.NotAfter.Format(time.RFC3339))
	case errors.As(err, &verification):
		return "tls", "have the server show a certificate for servers"
	case errors.As(err, &remote) && remote.Op == "remote error":
		return refused(remote.Error())
	default:
		return "", ""
	}
}

// refused is what a refusal by the server points at.
func refused(text string) (setting, remedy string) {
	switch {
	case strings.Contains(text, "expired certificate"):
		return "tls.cert_file", "renew the certificate, which is out of date"
	case strings.Contains(text, "certificate required"):
		return "tls.cert_file", "name a certificate of your own, which the server asks for, and its key in tls.key_file"
	case strings.Contains(text, "certificate"):
		return "tls.cert_file", "name a certificate that an authority of the server has signed, and its key in tls.key_file"
	default:
		return "tls", "the server refuses the handshake: see its log"
	}
}
