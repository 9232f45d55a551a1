// Package base holds the wrappers that every driver's New puts around it.
//
// New is the one place where arguments are checked and errors get their shape:
//
//   - a cancelled context, a path against the rules and a negative offset are
//     refused before the driver is called;
//   - the typed errors of package drivers come out as plain values that carry
//     the driver's name, everything else inside one drivers.Error. What the
//     callback of a Walk returned comes out as it is;
//   - what the storage holds under names against the rules is left out of
//     listings, because no call could name it.
//
// NewRegulator bounds how many calls run in a driver at once. A driver wraps
// itself as base.New(base.NewRegulator(d, limit)).
//
// Errors of the readers and writers a driver hands out are the driver's own.
package base
