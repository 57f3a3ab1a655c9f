// SPDX-License-Identifier: Apache-2.0

//go:build linux

// The agent is the init of a virtual machine and, as a child of itself, the server of commands on the virtio-serial port
// (package wire). It is a static program and the only one in the initramfs: no shell, no busybox.
//
// As process 1 it loads the modules that the machine's file systems and network need, mounts the host's files read-only
// with scratch space on top, moves there, configures eth0, starts the server and reaps orphans. When the server ends the
// machine is switched off, so a host that goes away leaves nothing behind.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"syscall"

	"github.com/iupkg/iupkg/kernel/vm/wire"
	"golang.org/x/sys/unix"
)

func main() {
	if os.Getpid() != 1 {
		serve(os.NewFile(3, "agent port"))
		return
	}
	port, err := setup()
	if err != nil {
		fmt.Fprintf(os.Stderr, "<0>iupkg-vm: %v\n", err)
		if port != nil {
			_ = wire.WriteJSON(port, wire.KindHello, 0, wire.Hello{Error: err.Error()})
			drain(port)
		}
		powerOff()
	}
	if err := supervise(port); err != nil {
		fmt.Fprintf(os.Stderr, "<0>iupkg-vm: %v\n", err)
	}
	powerOff()
}

// setup makes the machine; the port is returned even when a later step failed, to tell the host.
func setup() (*os.File, error) {
	if err := earlyMounts(); err != nil {
		return nil, err
	}
	var boot wire.Boot
	b, err := os.ReadFile("/boot.json")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &boot); err != nil {
		return nil, fmt.Errorf("boot.json: %w", err)
	}
	for _, m := range boot.Modules {
		if err := loadModule(m); err != nil {
			return nil, err
		}
	}
	port, err := openPort()
	if err != nil {
		return nil, err
	}
	if err := makeRoot(&boot); err != nil {
		return port, err
	}
	if err := unix.Sethostname([]byte(boot.Hostname)); err != nil {
		return port, err
	}
	if err := configureNetwork(boot.Network); err != nil {
		return port, err
	}
	return port, nil
}

// supervise starts the server and reaps every process until the server is gone.
func supervise(port *os.File) error {
	// The initramfs is out of reach from here, the program running from it is not.
	p, err := os.StartProcess("/proc/1/exe", []string{"iupkg-vm-agent"}, &os.ProcAttr{
		Dir:   "/",
		Env:   environment,
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr, port},
	})
	if err != nil {
		return fmt.Errorf("start the agent: %w", err)
	}
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return fmt.Errorf("wait: %w", err)
		case pid == p.Pid && ws.Exited() && ws.ExitStatus() == 0:
			return nil
		case pid == p.Pid:
			return fmt.Errorf("the agent ended: %v", ws)
		}
	}
}

func powerOff() {
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}
