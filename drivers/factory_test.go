package drivers_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"registryfs/drivers"
)

func TestFactory(t *testing.T) {
	var got map[string]any
	drivers.Register("factory-test", func(_ context.Context, params map[string]any) (drivers.StorageDriver, error) {
		got = params
		return nil, errors.ErrUnsupported
	})
	_, err := drivers.Create(t.Context(), "factory-test", map[string]any{"key": 1})
	if !errors.Is(err, errors.ErrUnsupported) || got["key"] != 1 {
		t.Errorf("Create = %v, the factory got %v, want its own error and the parameters", err, got)
	}
	_, err = drivers.Create(t.Context(), "unheard-of", nil)
	if want := (drivers.InvalidStorageDriverError{Name: "unheard-of"}); err != error(want) {
		t.Errorf("Create of an unknown name = %#v, want %#v", err, want)
	}
	if names := drivers.Names(); !slices.Contains(names, "factory-test") || !slices.IsSorted(names) {
		t.Errorf("Names = %q, want them sorted, with factory-test", names)
	}
}

func TestRegisterPanics(t *testing.T) {
	f := func(context.Context, map[string]any) (drivers.StorageDriver, error) { return nil, nil }
	drivers.Register("panic-test", f)
	for name, register := range map[string]func(){
		"nil":       func() { drivers.Register("panic-test-nil", nil) },
		"duplicate": func() { drivers.Register("panic-test", f) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("Register did not panic")
				}
			}()
			register()
		})
	}
}
