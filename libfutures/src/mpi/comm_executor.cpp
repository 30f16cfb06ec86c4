// SPDX-License-Identifier: BSL-1.0
#include "mp/errors.hpp"

#include "mpi/current_job.hpp"
#include "mpi/job.hpp"
#include "mpi/mpi_pool_core.hpp"

#include <stdexcept>
#include <string>
#include <utility>

namespace futures {

namespace {

/// The other ranks of a job of run() serve, and would never come here.
void check_run(int size) {
    if (size > 1 && detail::is_in_run()) {
        throw mp::StateError("the ranks of this job serve already: what "
                             "futures::mpi::run() has called makes an "
                             "MPIPoolExecutor");
    }
}

void check_comm(MPI_Comm comm, int root) {
    if (!detail::mpi_is_initialized() || detail::mpi_is_finalized()) {
        throw mp::StateError("an MPICommExecutor needs MPI to be initialised");
    }
    int level = MPI_THREAD_SINGLE;
    detail::mpi_check(MPI_Query_thread(&level), "MPI_Query_thread");
    if (level < MPI_THREAD_SERIALIZED) {
        throw mp::StateError(
            "an MPICommExecutor needs MPI_Init_thread() with MPI_THREAD_SERIALIZED"
        );
    }
    if (comm == MPI_COMM_NULL) {
        throw std::invalid_argument("the communicator is MPI_COMM_NULL");
    }
    int is_inter = 0;
    detail::mpi_check(MPI_Comm_test_inter(comm, &is_inter), "MPI_Comm_test_inter");
    if (is_inter != 0) {
        throw std::invalid_argument("the communicator is an inter-communicator");
    }
    int size = 0;
    detail::mpi_check(MPI_Comm_size(comm, &size), "MPI_Comm_size");
    check_run(size);
    if (root < 0 || root >= size) {
        throw std::invalid_argument(
            "root must be a rank of the communicator, from 0 to " +
            std::to_string(size - 1) + ", not " + std::to_string(root)
        );
    }
}

}  // namespace

MPICommExecutor::MPICommExecutor(MPI_Comm comm, int root, MPIPoolOptions options) {
    check_comm(comm, root);
    detail::check_backoff(options.backoff);
    job_ = std::make_unique<detail::Job>(
        comm,
        root,
        detail::Server::Waiting{.spin = options.spin, .backoff = options.backoff}
    );
    if (job_->is_master()) {
        try {
            executor_.reset(new MPIPoolExecutor(job_->farm(), std::move(options)));
        } catch (...) {
            job_->end();
            job_->wait_for_all();
            throw;
        }
    } else {
        job_->serve();
        job_->wait_for_all();
        job_.reset();
    }
}

MPICommExecutor::~MPICommExecutor() {
    if (!job_) {
        return;
    }
    if (!job_->farm()->may_wait_here()) {
        detail::abort_job("an MPICommExecutor was destroyed in a callback or a task of "
                          "its own, which "
                          "it cannot wait for: the MPI job ends");
    }
    executor_.reset();
    try {
        job_->end();
        job_->wait_for_all();
    } catch (const std::exception& error) {
        // The other ranks cannot be told that they may go on.
        detail::abort_job(std::string("the MPI job cannot go on: ") + error.what());
    }
}

}  // namespace futures
