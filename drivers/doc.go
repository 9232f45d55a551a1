// Package drivers says what a storage driver is: a registry's content as files
// under slash-separated paths, in the terms of the CNCF distribution registry.
// Concrete drivers are packages below this one.
//
// # Paths
//
// A path matches ^(/[A-Za-z0-9._-]+)+$ and has no component "." or "..": they
// could lead out of the storage. The root "/" is taken by Stat, List, Walk,
// ListInfo and WalkInfo only; it always exists, and an empty one lists nothing.
// All else is refused with an InvalidPathError before the storage is asked.
// What the storage holds under other names cannot be asked for and is left out
// of listings.
//
// Directories are made by putting files into them. Whether an emptied one
// remains is up to the driver.
//
// # What a caller may count on
//
// A file becomes visible at its path whole or not at all. Whoever reads while
// it is replaced gets all of the old bytes or all of the new ones. Once a write
// has returned, every later call sees it, and it survives a crash of the
// machine. A failed write leaves the old content, and nothing that a listing
// shows.
//
// All methods may be called at the same time, a FileWriter's excepted. Of two
// writers of one path the last to finish wins; they never mix. Nothing here is
// a lock: only PutContentIfAbsent tells who was first, where it is native.
//
// Byte slices belong to the caller, those it passes and those it gets.
//
// A context cancelled before the call refuses it. One cancelled later ends a
// call as soon as the driver notices, but never a FileWriter's Cancel or Close.
//
// # Errors
//
//   - PathNotFoundError: there is no such file, or no such directory. It is
//     fs.ErrNotExist. Reading a directory as a file, and listing a file as a
//     directory, is this too.
//   - InvalidPathError, InvalidOffsetError: the argument is bad, for any store.
//     They are fs.ErrInvalid.
//   - ErrUnsupportedMethod: the driver lacks the ability. It is
//     errors.ErrUnsupported.
//   - Error: all else, with the cause inside. errors.Is finds fs.ErrExist,
//     fs.ErrPermission, context.Canceled, syscall.ENOSPC and their like.
//
// They come as values, unwrapped, with the driver's name in them. Absence is
// answered only by a store that said so: a refused or failed request is Error.
//
// # Optional abilities
//
// What not every storage can do is a small interface plus a function with a
// fallback, in optional.go. Callers use the functions and never assert types.
// A wrapper implements every one of these interfaces by calling the package's
// function on the driver inside, after its own check: so it hides nothing and
// lets nothing past.
//
// # A new driver
//
// It is a package with a Driver, a New that returns it wrapped by base.New, and
// an init that calls Register with the name a registry's configuration has for
// it. Its test calls drivertest.Run, and so does a new wrapper's. It may count
// on arguments being checked and returns its errors with DriverName left empty.
package drivers
