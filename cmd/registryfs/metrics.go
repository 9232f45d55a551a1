package main

import (
	"fmt"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sys/unix"

	"registryfs/drivers"
	"registryfs/fusefs"
)

// The metrics. What the mount, the driver and the cache have counted is looked at
// when somebody asks; nothing of this is on the way of a request.
var (
	descs []*prometheus.Desc // all of the following

	mountInfo = desc("mount_info", "The mount; always 1.", "source", "mountpoint", "driver", "version")
	uptime    = desc("uptime_seconds", "Time since the mount began.")

	operations     = desc("operation_duration_seconds", "Requests of the kernel, by kind, and how long they took.", "operation")
	errorsTotal    = desc("errors_total", "Requests of the kernel that failed, by errno.", "errno")
	readBytes      = desc("read_bytes_total", "Bytes read by users, those of passthrough excepted.")
	writtenBytes   = desc("written_bytes_total", "Bytes written by users.")
	listedEntries  = desc("listed_entries_total", "Entries of directories that were listed.")
	passthroughs   = desc("passthrough_opens_total", "Opens of blobs that the kernel reads straight from their files.")
	nodes          = desc("nodes", "Files and directories that the kernel holds.")
	openFiles      = desc("open_files", "Open files and directories.")
	openUploads    = desc("open_uploads", "Files that are open for writing.")
	driverCalls    = desc("driver_call_duration_seconds", "Calls of the storage driver, by method, and how long they took.", "method")
	driverErrors   = desc("driver_errors_total", "Calls of the storage driver that failed, by method; absence is no failure.", "method")
	driverRead     = desc("driver_read_bytes_total", "Bytes read from the store.")
	driverWritten  = desc("driver_written_bytes_total", "Bytes written to the store.")
	storeRequests  = desc("store_requests_total", "Requests over the network, by kind, those made again included.", "kind")
	memorySize     = desc("memory_budget_bytes", "What all buffers may take (--memory).")
	memoryUsed     = desc("memory_used_bytes", "What they take.")
	memoryWaiting  = desc("memory_waiting", "Writers that wait for a buffer.")
	cacheHits      = desc("cache_hits_total", "Reads of blobs served by the disk cache, and files of it handed out whole.")
	cacheMisses    = desc("cache_misses_total", "Reads of blobs that the disk cache could not serve.")
	cacheServed    = desc("cache_served_bytes_total", "Bytes of such hits.")
	cacheFilled    = desc("cache_filled_bytes_total", "Bytes written into the disk cache.")
	cacheUsed      = desc("cache_used_bytes", "Size of the disk cache, of all processes.")
	cacheEvictions = desc("cache_evictions_total", "Blobs taken out of the disk cache for lack of room.")
	cacheDamages   = desc("cache_damages_total", "Blocks and blobs that had changed in the disk cache.")
	cacheFailures  = desc("cache_failures_total", "Failed writes into the disk cache.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc("registryfs_"+name, help, labels, nil)
	descs = append(descs, d)
	return d
}

// collector answers a scrape.
type collector struct {
	server     *fusefs.Server
	store      store
	mountpoint string
}

// metrics are those of the mount and of this process.
func metrics(c collector) *prometheus.Registry {
	all := prometheus.NewRegistry()
	all.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return all
}

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range descs {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	out := sink(to)
	out.gauge(mountInfo, 1, c.store.source, c.mountpoint, c.store.driver, versionText())
	out.mount(c.server.Stats())
	calls := c.store.calls.Stats()
	for _, m := range calls.Methods {
		out.histogram(driverCalls, m.Calls, m.Name)
		out.counter(driverErrors, m.Errors, m.Name)
	}
	out.counter(driverRead, calls.ReadBytes)
	out.counter(driverWritten, calls.WrittenBytes)
	for kind, n := range c.store.calls.Requests() {
		out.counter(storeRequests, n, kind)
	}
	if c.store.network != nil {
		out.network(c.store.network)
	}
}

type sink chan<- prometheus.Metric

func (out sink) mount(s fusefs.Stats) {
	out.gauge(uptime, s.Uptime.Seconds())
	for _, o := range s.Operations {
		out.histogram(operations, o.Durations, o.Name)
	}
	for errno, n := range s.Errors {
		out.counter(errorsTotal, n, errnoName(errno))
	}
	out.counter(readBytes, s.BytesRead)
	out.counter(writtenBytes, s.BytesWritten)
	out.counter(listedEntries, s.EntriesListed)
	out.counter(passthroughs, s.PassthroughOpens)
	out.gauge(nodes, float64(s.Nodes))
	out.gauge(openFiles, float64(s.OpenFiles))
	out.gauge(openUploads, float64(s.OpenUploads))
}

func (out sink) network(n *network) {
	use := n.memory.Snapshot()
	out.gauge(memorySize, float64(use.Size))
	out.gauge(memoryUsed, float64(use.Used))
	out.gauge(memoryWaiting, float64(use.Waiting))
	c := n.cache.Stats() // of no cache, zeros
	out.counter(cacheHits, c.Hits)
	out.counter(cacheMisses, c.Misses)
	out.counter(cacheServed, c.ServedBytes)
	out.counter(cacheFilled, c.FilledBytes)
	out.gauge(cacheUsed, float64(c.UsedBytes))
	out.counter(cacheEvictions, c.Evicted)
	out.counter(cacheDamages, c.Damaged)
	out.counter(cacheFailures, c.Failures)
}

func (out sink) counter(d *prometheus.Desc, n int64, labels ...string) {
	out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

func (out sink) gauge(d *prometheus.Desc, v float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (out sink) histogram(d *prometheus.Desc, h drivers.Durations, labels ...string) {
	buckets := make(map[float64]uint64, len(h.Within))
	for i, n := range h.Within {
		buckets[drivers.DurationBounds[i].Seconds()] = uint64(n)
	}
	out <- prometheus.MustNewConstHistogram(d, uint64(h.Count), h.Sum.Seconds(), buckets, labels...)
}

func errnoName(e syscall.Errno) string {
	if name := unix.ErrnoName(e); name != "" {
		return name
	}
	return fmt.Sprint(int(e))
}
