// SPDX-License-Identifier: BSL-1.0
#include "mpi/rank_comms.hpp"

#include "mp/errors.hpp"

#include <utility>

namespace futures {

namespace detail {

namespace {

class OwnGroup {
public:
    OwnGroup() noexcept = default;
    OwnGroup(const OwnGroup&) = delete;
    OwnGroup& operator=(const OwnGroup&) = delete;

    ~OwnGroup() {
        if (group_ != MPI_GROUP_NULL) {
            MPI_Group_free(&group_);
        }
    }

    MPI_Group* put() noexcept { return &group_; }

    MPI_Group get() const noexcept { return group_; }

private:
    MPI_Group group_ = MPI_GROUP_NULL;
};

/// Tasks get a communicator like any other: an error in it ends the job, unless they
/// say otherwise.
void give_usual_errors(MPI_Comm comm) {
    mpi_check(
        MPI_Comm_set_errhandler(comm, MPI_ERRORS_ARE_FATAL), "MPI_Comm_set_errhandler"
    );
}

}  // namespace

RankComms::RankComms(OwnComm workers) : workers_(std::move(workers)) {
    give_usual_errors(workers_.get());
}

MPI_Comm RankComms::of(std::uint32_t members) {
    if (members >= static_cast<std::uint32_t>(workers_.size())) {
        return workers_.get();
    }
    if (const auto found = fewer_.find(members); found != fewer_.end()) {
        return found->second.get();
    }
    OwnGroup all;
    OwnGroup some;
    mpi_check(MPI_Comm_group(workers_.get(), all.put()), "MPI_Comm_group");
    int range[1][3] = {{0, static_cast<int>(members) - 1, 1}};
    mpi_check(
        MPI_Group_range_incl(all.get(), 1, range, some.put()), "MPI_Group_range_incl"
    );
    MPI_Comm comm = MPI_COMM_NULL;
    mpi_check(
        MPI_Comm_create_group(
            workers_.get(), some.get(), static_cast<int>(members), &comm
        ),
        "MPI_Comm_create_group"
    );
    const auto& made = fewer_.emplace(members, OwnComm(comm)).first->second;
    give_usual_errors(made.get());
    return made.get();
}

}  // namespace detail

MPI_Comm mpi::worker_comm() {
    const auto& current = detail::ServedComms::current();
    if (current.comms == nullptr) {
        throw mp::StateError(
            "worker_comm() is for tasks of an MPIPoolExecutor without isolation"
        );
    }
    auto* const ranks = dynamic_cast<detail::RankComms*>(current.comms);
    return ranks == nullptr ? MPI_COMM_SELF : ranks->of(current.members);
}

}  // namespace futures
