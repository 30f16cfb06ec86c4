// SPDX-License-Identifier: BSL-1.0
// child_place: where a child runs: its environment and its working directory.
#pragma once

#include "mp/detail/environment.hpp"

#include <string>

namespace mp::detail {

/// As an absolute path; this process's if `chosen` is empty. Throws SpawnError if a
/// child could not go there.
std::string directory_of_child(const std::string& chosen);

/// Throws SpawnError if a variable has no proper name.
void check_names(const Environment& changes);

/// In a child that is no new program: changes its variables. Not by setenv(), whose
/// lock a thread of the parent may have held when the child was forked. A parent that
/// forks in the very instructions in which another thread's setenv() moves the list of
/// variables may leave the child a list that was freed: nobody can tell. Requires: no
/// other thread.
void change_environment(const Environment& changes);

}  // namespace mp::detail
