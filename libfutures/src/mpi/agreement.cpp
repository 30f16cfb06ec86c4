// SPDX-License-Identifier: BSL-1.0
#include "mpi/agreement.hpp"

#include "mp/detail/code_ref.hpp"
#include "mp/detail/full_archive_fwd.hpp"
#include "mp/errors.hpp"

#include "mpi/bell.hpp"
#include "mpi/frame.hpp"
#include "mpi/pacing.hpp"
#include "mpi/rank_environment.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <string_view>

namespace futures::detail {

namespace {

constexpr std::uint32_t protocol = 1;

/// What a rank tells of itself, as it stands in memory: if even that differs, the
/// numbers at its beginning do.
struct Told {
    std::uint32_t mark = MessageHead::mark;
    std::uint32_t version = protocol;
    std::uint32_t size_of_long = sizeof(long);
    std::uint32_t size_of_pointer = sizeof(void*);
    std::int32_t pid = 0;
    std::int32_t root = 0;
    std::uint32_t archives = 0;  ///< the version of Boost's
    std::uint32_t unused = 0;
    std::array<char, 64> build_id{};  ///< in hexadecimal
    std::array<char, 128> host{};
    std::array<char, 256> path{};
};

template <std::size_t size>
void put(std::array<char, size>& to, std::string_view text) noexcept {
    // Of a path the end tells more.
    const auto from = text.size() < size ? text : text.substr(text.size() - size + 1);
    std::copy(from.begin(), from.end(), to.begin());
}

Told tell(int root) {
    Told told;
    told.root = root;
    const auto archives = mp::detail::library_version();
    told.archives = static_cast<std::uint16_t>(archives);
    told.pid = ::getpid();
    put(told.host, host_name());
    std::error_code error;
    put(told.path, std::filesystem::read_symlink("/proc/self/exe", error).string());
    put(told.build_id,
        mp::detail::program_build_id_if_any() + "/" +
            mp::detail::library_build_id().substr(0, 16));
    return told;
}

bool are_alike(const Told& a, const Told& b) noexcept {
    return a.mark == b.mark && a.version == b.version &&
           a.size_of_long == b.size_of_long && a.size_of_pointer == b.size_of_pointer &&
           a.archives == b.archives &&
           std::memcmp(a.build_id.data(), b.build_id.data(), a.build_id.size()) == 0;
}

std::string in_words(const Told& told, std::size_t rank) {
    return "rank " + std::to_string(rank) + " on host " + told.host.data() + " runs " +
           told.path.data() + ", build-id " + told.build_id.data();
}

}  // namespace

Agreement agree(const OwnComm& comm, int root) {
    const auto size = static_cast<std::size_t>(comm.size());
    const Told own = tell(root);
    std::vector<Told> all(size);
    mpi_check(
        MPI_Allgather(
            &own, sizeof own, MPI_BYTE, all.data(), sizeof own, MPI_BYTE, comm.get()
        ),
        "MPI_Allgather"
    );
    Agreement agreement;
    for (std::size_t rank = 0; rank < size; ++rank) {
        RankInfo info{
            .rank = static_cast<int>(rank),
            .size = static_cast<int>(size),
            .host = all[rank].host.data(),
            .pid = all[rank].pid};
        info.neighbours = static_cast<int>(std::count_if(
            all.begin(),
            all.end(),
            [&](const Told& other) { return other.host == all[rank].host; }
        ));
        agreement.ranks.push_back(std::move(info));
        agreement.have_one_root = agreement.have_one_root && all[rank].root == root;
        if (!are_alike(all[rank], all[0])) {
            if (agreement.difference.empty()) {
                agreement.difference = "the ranks of the job do not run the same "
                                       "program:\n  " +
                                       in_words(all[0], 0);
            }
            agreement.difference += "\n  " + in_words(all[rank], rank);
        }
    }
    return agreement;
}

void wait_for_all(const OwnComm& comm) {
    using namespace std::chrono_literals;
    MPI_Request request = MPI_REQUEST_NULL;
    mpi_check(MPI_Ibarrier(comm.get(), &request), "MPI_Ibarrier");
    Bell nobody;
    Pacing pacing(100us, 1ms);
    for (int done = 0;;) {
        mpi_check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
        if (done != 0) {
            return;
        }
        pacing.pause(nobody, true, false, mp::Deadline(mp::forever));
    }
}

}  // namespace futures::detail
