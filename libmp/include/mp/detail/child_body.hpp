// SPDX-License-Identifier: BSL-1.0
// child_body: how a child that is a new run of the program becomes the process that its
// parent started.
// Python:  multiprocessing.spawn.spawn_main, and Process._bootstrap for what it runs.
#pragma once

#include <functional>
#include <memory>

namespace mp {

class BaseProcess;

namespace detail {

class ByteReader;
struct Preparation;

/// What such a child does once it knows who it is. Its code reference stands first in
/// the parent's message, then the Preparation; `in` goes on with the encoded process.
/// Returns the exit code.
using ChildBody = int (*)(Preparation&& preparation, ByteReader& in);

using MakeProcess = std::function<std::unique_ptr<BaseProcess>()>;

/// Becomes the process that `preparation` describes, makes its object and runs it.
int run_child_process(Preparation&& preparation, const MakeProcess& make);

}  // namespace detail
}  // namespace mp
