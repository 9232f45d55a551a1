package main

import (
	"net"
	"os"
	"strings"
)

// manager is the service manager that started this process and wants to hear of
// it: systemd, for a unit with Type=notify. The zero value is nobody.
type manager struct{ socket string }

// findManager also keeps the programs that are run from here out of it.
func findManager() manager {
	socket := os.Getenv("NOTIFY_SOCKET")
	os.Unsetenv("NOTIFY_SOCKET")
	return manager{socket}
}

// tell sends lines such as READY=1. A manager that does not hear it has its own
// time-outs.
func (m manager) tell(lines ...string) {
	if m.socket == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.socket, Net: "unixgram"})
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(strings.Join(lines, "\n")))
}

// status is the line that systemctl status shows.
func (m manager) status(text string) { m.tell("STATUS=" + strings.ReplaceAll(text, "\n", " ")) }
