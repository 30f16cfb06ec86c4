// SPDX-License-Identifier: BSL-1.0
#include "mpi/job.hpp"

#include "mp/errors.hpp"

#include "mpi/local_transport.hpp"
#include "mpi/mpi_transport.hpp"
#include "mpi/rank_comms.hpp"
#include "os/signals.hpp"
#include "util/diagnostics.hpp"
#include "util/library_thread.hpp"

#include <pthread.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace futures::detail {

namespace {

OwnComm comm_of_workers(const OwnComm& comm, bool is_master) {
    MPI_Comm workers = MPI_COMM_NULL;
    mpi_check(
        MPI_Comm_split(
            comm.get(), is_master ? MPI_UNDEFINED : 0, comm.rank(), &workers
        ),
        "MPI_Comm_split"
    );
    return OwnComm(workers);
}

}  // namespace

Job::Job(MPI_Comm comm, int root, const Server::Waiting& waiting)
    : comm_(OwnComm::duplicate_of(comm)),
      root_(root),
      rank_(comm_.rank()),
      waiting_(waiting) {
    Agreement agreement = agree(comm_, root);
    if (!agreement.difference.empty()) {
        throw mp::BinaryMismatch(agreement.difference);
    }
    if (!agreement.have_one_root) {
        throw std::invalid_argument("the ranks of the communicator name different roots"
        );
    }
    ranks_ = std::move(agreement.ranks);
    if (ranks_.size() == 1) {
        begin_local(waiting, ranks_.front());
        return;
    }
    workers_ = comm_of_workers(comm_, is_master());
    if (!is_master()) {
        return;
    }
    std::vector<int> peers;
    std::vector<RankInfo> infos;
    for (const RankInfo& info : ranks_) {
        if (info.rank != root_) {
            peers.push_back(info.rank);
            infos.push_back(info);
        }
    }
    farm_ = std::make_shared<Farm>(
        std::make_unique<MpiTransport>(comm_.get(), std::move(peers), true),
        std::make_shared<Bell>(),
        std::move(infos)
    );
}

/// The only worker is a thread here.
void Job::begin_local(const Server::Waiting& waiting, const RankInfo& info) {
    auto masters_bell = std::make_shared<Bell>();
    auto workers_bell = std::make_shared<Bell>();
    auto [master, worker] = LocalTransport::make_pair(masters_bell, workers_bell);
    farm_ = std::make_shared<Farm>(
        std::move(master), std::move(masters_bell), std::vector{info}
    );
    const mp::os::SignalsBlocked
        blocked;  // signals are the program's threads' business
    local_ = std::thread([end = std::shared_ptr<LocalTransport>(std::move(worker)),
                          bell = std::move(workers_bell),
                          waiting,
                          info,
                          farm = std::weak_ptr<Farm>(farm_),
                          counted = mp::detail::LibraryThread()] {
        pthread_setname_np(pthread_self(), "mp-mpi-worker");
        try {
            SelfComms comms;
            Server(*end, bell, comms, waiting, info, 0).serve();
        } catch (const std::exception& error) {
            mp::detail::log_error(
                std::string("the worker of an MPI job of one rank ends: ") +
                error.what()
            );
            if (const auto there = farm.lock()) {
                there->ask_to_give_up(std::current_exception());
            }
        }
    });
    farm_->serves_in(local_.get_id());
}

Job::~Job() {
    if (is_master()) {
        try {
            end();
        } catch (const std::exception& error) {
            mp::detail::log_error(
                std::string("an MPI job cannot end: ") + error.what()
            );
        }
    }
}

void Job::serve() {
    MpiTransport transport(comm_.get(), {root_}, false);
    const auto place = static_cast<std::size_t>(rank_ < root_ ? rank_ : rank_ - 1);
    RankComms comms(std::move(workers_));
    Server(
        transport,
        std::make_shared<Bell>(),
        comms,
        waiting_,
        ranks_[static_cast<std::size_t>(rank_)],
        place
    )
        .serve();
}

void Job::end() {
    if (farm_) {
        farm_->stop();
    }
    if (local_.joinable()) {
        local_.join();
    }
}

void Job::wait_for_all() const {
    if (!farm_ || !farm_->has_lost_ranks()) {
        detail::wait_for_all(comm_);
    }
}

}  // namespace futures::detail
