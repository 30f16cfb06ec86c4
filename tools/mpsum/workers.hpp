// SPDX-License-Identifier: BSL-1.0
// Workers: what hashes batches of files, in other processes: of a pool here, or of the
// ranks of an MPI job.
// Threads: one, but end_all() may be called by another.
#pragma once

#include "futures/future.hpp"

#include "hash_files.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace mpsum {

class Meter;

struct WorkerOptions {
    Algorithm algorithm = Algorithm::sha256;
    unsigned jobs = 0;  ///< worker processes, of each rank if there are some; 0: as
                        ///< many as there are processors
    std::string start_method;        ///< empty: the library's default
    double timeout = 0;              ///< seconds for each file; 0: for ever
    std::uint64_t memory_limit = 0;  ///< bytes besides what a worker has; 0: none
};

class Workers {
public:
    using Results = futures::Future<std::vector<FileResult>>;

    Workers() = default;
    virtual ~Workers() = default;
    Workers(Workers&&) = delete;
    Workers& operator=(Workers&&) = delete;

    /// What hash_files() gives, or futures::WorkerLost, futures::TaskTimeout,
    /// mp::ResourceLimitExceeded.
    virtual Results submit(Origin origin, std::vector<std::string> names) = 0;

    /// How many there are, about; at least 1.
    virtual unsigned count() const = 0;

    /// Ends all of them at once, and with ranks the job, this process included.
    virtual void end_all(int status) noexcept = 0;
};

/// In a pool of this process. Null: nothing counts what is read.
std::unique_ptr<Workers>
process_workers(const WorkerOptions& options, const Meter* meter);

/// The limit of time as the libraries want it; 0 is mp::forever.
mp::Timeout timeout_of(const WorkerOptions& options);

}  // namespace mpsum
