// Package complement pins the version of upstream Complement whose test packages `cargo xtask complement` runs.
package complement

// What those tests import, so that go.mod and go.sum have all they need.
import (
	_ "github.com/matrix-org/complement"
	_ "github.com/matrix-org/complement/b"
	_ "github.com/matrix-org/complement/client"
	_ "github.com/matrix-org/complement/federation"
	_ "github.com/matrix-org/complement/helpers"
	_ "github.com/matrix-org/complement/match"
	_ "github.com/matrix-org/complement/must"
	_ "github.com/matrix-org/complement/runtime"
	_ "github.com/matrix-org/complement/should"
)
