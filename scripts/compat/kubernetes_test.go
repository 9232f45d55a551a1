package compat

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestKubernetes: the DaemonSet is what Kubernetes takes one for, the volumes it
// mounts are there, and registryfs understands its command line.
func TestKubernetes(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "kubernetes", "daemonset.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	type labels map[string]string
	var set struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Spec       struct {
			Selector struct {
				MatchLabels labels `yaml:"matchLabels"`
			}
			Template struct {
				Metadata struct{ Labels labels }
				Spec     struct {
					Containers []struct {
						Command, Args []string
						VolumeMounts  []struct {
							Name             string
							MountPath        string `yaml:"mountPath"`
							MountPropagation string `yaml:"mountPropagation"`
						} `yaml:"volumeMounts"`
					}
					Volumes []struct{ Name string }
				}
			}
		}
	}
	if err := yaml.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	pod := set.Spec.Template
	if set.APIVersion != "apps/v1" || set.Kind != "DaemonSet" || len(pod.Spec.Containers) != 1 ||
		set.Spec.Selector.MatchLabels["app"] == "" || set.Spec.Selector.MatchLabels["app"] != pod.Metadata.Labels["app"] {
		t.Fatalf("it is no DaemonSet of one container that finds its pods: %+v", set)
	}
	c := pod.Spec.Containers[0]
	mountpoint := c.Args[len(c.Args)-1]
	shown := false
	for _, m := range c.VolumeMounts {
		if !slices.ContainsFunc(pod.Spec.Volumes, func(v struct{ Name string }) bool { return v.Name == m.Name }) {
			t.Errorf("there is no volume %s", m.Name)
		}
		shown = shown || m.MountPropagation == "Bidirectional" && strings.HasPrefix(mountpoint, m.MountPath+"/")
	}
	if !shown {
		t.Errorf("no other pod would see what is mounted on %s", mountpoint)
	}
	// All is right but the SOURCE, which is looked at after the options.
	args := slices.Clone(c.Args)
	args[len(args)-2] = filepath.Join(t.TempDir(), "absent")
	r := try(t, program(t, registryfs), args...)
	if r.code != 1 || !strings.Contains(r.stderr, "does not exist: pass a registry's root directory") {
		t.Errorf("registryfs %q: exit status %d\n%s", args, r.code, r.stderr)
	}
}
