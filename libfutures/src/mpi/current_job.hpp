// SPDX-License-Identifier: BSL-1.0
// current_job: the job that mpi::run() has begun in this process.
// Threads: any.
#pragma once

#include "mpi/farm.hpp"

#include <memory>

namespace futures::detail {

/// Throws mp::StateError, which says how to start the program, where there is none.
std::shared_ptr<Farm> farm_of_run();

/// Null: there is none any more.
/// Whether run() is under way here.
bool is_in_run();

void set_farm_of_run(std::shared_ptr<Farm> farm);

}  // namespace futures::detail
