package layout

// Progress is how far a job over the whole store has come. Jobs tell it often,
// and from several goroutines at once.
type Progress struct {
	Step        string // what is done now, such as "read links"
	Done, Total int64  // of what the step counts; Total is 0 while it is not known
	Bytes       int64  // read or written by the step, if that is what takes time
}
