// SPDX-License-Identifier: Apache-2.0

//go:build s3

package registry

import _ "github.com/distribution/distribution/v3/registry/storage/driver/s3-aws" // registers itself

func init() { hasS3 = true }
