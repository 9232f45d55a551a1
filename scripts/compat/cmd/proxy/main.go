// Command proxy runs package proxy, to look at what a mount asks of a server
// that is far away or fails:
//
//	proxy -to http://127.0.0.1:7070 -listen 127.0.0.1:7071 -delay 20ms -rate 90 -log /tmp/requests
//
// SIGUSR1 prints what has been asked since the last one, and so does the end.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"registryfs/scripts/compat/internal/proxy"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "proxy:", err)
		os.Exit(1)
	}
}

func run() error {
	var o proxy.Options
	flag.StringVar(&o.Target, "to", "http://127.0.0.1:7070", "the server")
	flag.StringVar(&o.Listen, "listen", "127.0.0.1:0", "where to listen")
	flag.DurationVar(&o.Delay, "delay", 0, "before each answer")
	rate := flag.Int64("rate", 0, "of one answer, in MB/s; 0: no limit")
	flag.IntVar(&o.Fail, "fail", 0, "answer 503 to one request in so many")
	flag.IntVar(&o.Cut, "cut", 0, "cut short one body in so many")
	flag.IntVar(&o.Stall, "stall", 0, "let one answer in so many hang")
	flag.Uint64Var(&o.Seed, "seed", 1, "of the faults")
	log := flag.String("log", "", "a file that gets a line for each request")
	flag.Parse()
	o.Rate = *rate * 1e6
	if *log != "" {
		f, err := os.Create(*log)
		if err != nil {
			return err
		}
		defer f.Close()
		o.Log = f
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGUSR1)
	p, err := proxy.Start(o)
	if err != nil {
		return err
	}
	fmt.Println(p.URL())
	for s := range signals {
		c := p.Reset()
		fmt.Printf("%s, %.1f MB up, %.1f MB down, %d failed, %d cut, %d stalled\n", c, float64(c.Up)/1e6, float64(c.Down)/1e6,
			c.Failed, c.Cut, c.Stalled)
		if s != syscall.SIGUSR1 {
			break
		}
	}
	return p.Close()
}
