package layout

// MaxManifestSize is the largest manifest that is taken, in bytes: what the
// registry's own manifest PUT takes. Larger ones that are stored are shown.
const MaxManifestSize = 4 << 20
