// SPDX-License-Identifier: BSL-1.0
// child_mark: by what a run of the program is known for a child or a helper although
// its host has overwritten the arguments, as setproctitle() does.
//
// A child that nobody knows for one would start children itself, and they again. Two
// marks, since a host may wipe its environment, and may close what it has inherited: a
// variable, and the name of the inherited socket, which is the kernel's. Neither counts
// in a program that has rights which its caller has not: the caller chose them.
#pragma once

#include "mp/fd.hpp"

#include <string>

namespace mp::detail {

/// "NAME=value", for the environment of a child.
std::string child_variable();

/// In the parent: gives the child's socket its name.
void mark_socket(const UniqueFd& socket) noexcept;

/// By the variable: is this process what its parent started as a child or a helper?
bool is_started_child() noexcept;

/// Does this process bear one of the marks? Looked up once.
bool bears_child_mark() noexcept;

/// Before there are other threads: what this process executes is no child of ours.
void remove_child_variable() noexcept;

}  // namespace mp::detail
