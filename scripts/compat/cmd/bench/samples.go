package main

import (
	"context"
	"slices"
)

// samples are the values of one thing, a run each.
type samples []float64

// median is the middle one, or the mean of the two in the middle.
func (s samples) median() float64 {
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// over divides run by run.
func (s samples) over(base samples) samples {
	out := make(samples, len(s))
	for i := range s {
		out[i] = s[i] / base[i]
	}
	return out
}

// per divides a number by each.
func (s samples) per(n float64) samples {
	out := make(samples, len(s))
	for i := range s {
		out[i] = n / s[i]
	}
	return out
}

// inTurn measures two things that are compared, the other one first in every
// second run.
func inTurn(ctx context.Context, runs int, base, mount func(context.Context) (float64, error)) (b, m samples, err error) {
	for i := range runs {
		first, second := base, mount
		if i%2 == 1 {
			first, second = mount, base
		}
		x, err := first(ctx)
		if err != nil {
			return nil, nil, err
		}
		y, err := second(ctx)
		if err != nil {
			return nil, nil, err
		}
		if i%2 == 1 {
			x, y = y, x
		}
		b, m = append(b, x), append(m, y)
	}
	return b, m, nil
}
