// SPDX-License-Identifier: BSL-1.0
// launch: what a command and its options mean for exec.
#pragma once

#include "mp/fd.hpp"

#include "concurrency/process_options.hpp"
#include "os/exec.hpp"

namespace concurrency::detail {

/// A program that is to be started, and the descriptors of its streams.
struct Launch {
    mp::os::ProgramStart start;
    mp::UniqueFd null;          ///< /dev/null, if a stream is that
    mp::UniqueFd child_in, in;  ///< the child's end and ours, if it is a pipe
    mp::UniqueFd child_out, out;
    mp::UniqueFd child_err, err;
};

/// With `in` for the standard input. Throws std::system_error, when there can be no
/// pipe, and ValueError.
Launch
prepare_launch(const Command& command, const ProcessOptions::Values& options, Stdio in);

}  // namespace concurrency::detail
