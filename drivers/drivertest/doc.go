// Package drivertest holds what a storage driver must do, as tests, and the
// wrappers that other packages test with.
//
// Run is the conformance suite. Every driver and every wrapper passes it, each
// with one line in its test. It calls optional abilities through the functions
// of package drivers, so that native ones and fallbacks must look the same.
//
// Counting counts calls, for tests of what an operation costs. Faulty fails
// them, for tests of what a failure leaves behind. Fallback hides all optional
// abilities. Remote makes a local driver look like an object store.
package drivertest
