// SPDX-License-Identifier: BSL-1.0
// WorkerSettings: what a worker is told of how it runs, before its first task.
#pragma once

#include "mp/detail/environment.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace futures::detail {

/// The processors that this process may use.
std::vector<int> allowed_cpus();

/// With those variables that tell numerical libraries how many threads to start: as
/// many as leave each of `workers` its share of the processors. Not where this
/// process's own environment, or `changes`, has the variable.
mp::Environment with_thread_counts(mp::Environment changes, std::uint32_t workers);

struct WorkerSettings {
    bool has_nice = false;
    int nice = 0;
    std::vector<int> cpus;  ///< none: as its parent

    bool any() const noexcept { return has_nice || !cpus.empty(); }

    /// In the worker. Throws std::system_error, which says what cannot be had.
    void apply() const;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& has_nice;
        archive& nice;
        archive& cpus;
    }
};

}  // namespace futures::detail
