// Package proxy stands between a client and an HTTP server, as a network and an
// object store at their worst do: it delays answers, limits their rate, answers
// 503, cuts bodies short, hangs, and counts.
//
// It passes on the bytes of a head as they are, so that Host and signatures stay
// valid, and the bytes of a body from socket to socket inside the kernel where
// that can be done, so that it takes little of the machine that is measured.
// Each connection of a client has one to the server. It speaks plain HTTP/1.1,
// and refuses nothing: what it does not understand ends the connection.
package proxy
