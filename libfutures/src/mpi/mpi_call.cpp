// SPDX-License-Identifier: BSL-1.0
#include "mpi/mpi_call.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>

namespace futures::detail {

void throw_mpi_error(int code, const char* call) {
    std::array<char, MPI_MAX_ERROR_STRING + 1> text{};
    int length = 0;
    if (MPI_Error_string(code, text.data(), &length) != MPI_SUCCESS) {
        length = 0;
    }
    throw MPIError(
        std::string(call) + ": " +
            std::string(text.data(), static_cast<std::size_t>(length)),
        code
    );
}

OwnComm::OwnComm(MPI_Comm comm) : comm_(comm) {
    if (comm_ != MPI_COMM_NULL) {
        mpi_check(
            MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler"
        );
    }
}

OwnComm OwnComm::duplicate_of(MPI_Comm comm) {
    MPI_Comm own = MPI_COMM_NULL;
    mpi_check(MPI_Comm_dup(comm, &own), "MPI_Comm_dup");
    return OwnComm(own);
}

OwnComm::~OwnComm() {
    if (comm_ != MPI_COMM_NULL && !mpi_is_finalized()) {
        MPI_Comm_free(&comm_);
    }
}

int OwnComm::rank() const {
    int rank = 0;
    mpi_check(MPI_Comm_rank(comm_, &rank), "MPI_Comm_rank");
    return rank;
}

int OwnComm::size() const {
    int size = 0;
    mpi_check(MPI_Comm_size(comm_, &size), "MPI_Comm_size");
    return size;
}

void abort_job(const std::string& why) {
    constexpr int failed = 1;
    std::fflush(stdout);
    std::fputs((why + "\n").c_str(), stderr);
    std::fflush(stderr);
    // MPICH calls exit(), whose steps would go on with the job: first comes this one.
    std::atexit([] { std::_Exit(failed); });
    MPI_Abort(MPI_COMM_WORLD, failed);
    std::_Exit(failed);  // some MPIs return
}

bool mpi_is_initialized() noexcept {
    int flag = 0;
    return MPI_Initialized(&flag) == MPI_SUCCESS && flag != 0;
}

bool mpi_is_finalized() noexcept {
    int flag = 0;
    return MPI_Finalized(&flag) == MPI_SUCCESS && flag != 0;
}

}  // namespace futures::detail
