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
// mounts are there, and its command line mounts on a node that has no more than
// those.
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
						Command, Args  []string
						ReadinessProbe struct{ Exec struct{ Command []string } } `yaml:"readinessProbe"`
						VolumeMounts   []struct {
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
	// In the background, and without what only the node has.
	node := t.TempDir()
	args := slices.DeleteFunc(slices.Clone(c.Args), func(arg string) bool { return arg == "--foreground" })
	for i, arg := range args {
		for _, m := range c.VolumeMounts {
			arg = strings.Replace(arg, m.MountPath, filepath.Join(node, m.Name), 1)
		}
		args[i] = strings.Replace(arg, "0.0.0.0:9464", "127.0.0.1:0", 1)
	}
	for _, m := range c.VolumeMounts {
		if err := os.Mkdir(filepath.Join(node, m.Name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	needFUSE(t)
	s := standardStorage(t, onS3, v3)
	args[len(args)-2] = s.source()
	mountpoint = args[len(args)-1]
	run(t, program(t, registryfs), args...)
	t.Cleanup(func() { unmount(t, mountpoint) })
	probe := c.ReadinessProbe.Exec.Command
	run(t, probe[0], append(slices.Clone(probe[1:len(probe)-1]), filepath.Join(mountpoint, filepath.Base(probe[len(probe)-1])))...)
}
