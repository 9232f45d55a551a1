package filesystem

import "golang.org/x/sys/unix"

// retry repeats a system call that a signal broke off.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}
