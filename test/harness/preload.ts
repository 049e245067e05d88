/** For every test file: clean-up after tests that ended without theirs, as timed-out ones do. */

import { afterEach } from "bun:test";
import { releaseOpenMounts } from "./mount.ts";

afterEach(releaseOpenMounts);
