// Package metered counts what a driver is asked for: calls, how long they take,
// how many fail, and bytes. It changes nothing, forwards every ability, and costs
// two looks at the clock a call.
//
// Abilities count under their own names where they are called. A listing takes
// until its first entry: what follows depends on who takes it. Absence, presence
// where there should be none, and a missing ability are answers and no failures.
package metered
