// SPDX-License-Identifier: BSL-1.0
// mpi_call: MPI's error codes as exceptions, or as the end of the job; a communicator
// that is freed.
// Threads: any.
#pragma once

#include "futures/mpi_comm.hpp"

#include <string>
#include <utility>

namespace futures::detail {

/// "MPI_Isend: ...", as MPI says it.
[[noreturn]] void throw_mpi_error(int code, const char* call);

/// Throws MPIError unless `code` is MPI_SUCCESS.
inline void mpi_check(int code, const char* call) {
    if (code != MPI_SUCCESS) [[unlikely]] {
        throw_mpi_error(code, call);
    }
}

/// A communicator of our own, whose calls return their errors. Not freed once MPI has
/// been finalized.
class OwnComm {
public:
    OwnComm() noexcept = default;

    /// From now on its calls return errors. Throws MPIError.
    explicit OwnComm(MPI_Comm comm);

    /// A copy for us alone. Collective. Throws MPIError.
    static OwnComm duplicate_of(MPI_Comm comm);

    OwnComm(OwnComm&& other) noexcept
        : comm_(std::exchange(other.comm_, MPI_COMM_NULL)) {}

    OwnComm& operator=(OwnComm&& other) noexcept {
        std::swap(comm_, other.comm_);
        return *this;
    }

    OwnComm(const OwnComm&) = delete;
    OwnComm& operator=(const OwnComm&) = delete;
    ~OwnComm();

    MPI_Comm get() const noexcept { return comm_; }

    int rank() const;
    int size() const;

private:
    MPI_Comm comm_ = MPI_COMM_NULL;
};

/// Says why, and ends the job with code 1.
[[noreturn]] void abort_job(const std::string& why);

bool mpi_is_initialized() noexcept;
bool mpi_is_finalized() noexcept;

}  // namespace futures::detail
