// SPDX-License-Identifier: BSL-1.0
// spawning: is this thread serialising for a child that is being started, and which
// descriptors travel with it?
// Python:  multiprocessing.context.get_spawning_popen, reduction.DupFd.
// Differs: descriptors are numbered in the order they are handed over; the child takes
//          each one once, those of a call as often as it is decoded.
// Threads: the list belongs to the thread that starts the child.
// Owns:    duplicates of the descriptors until they are sent, and those received until
//          they are taken; keys likewise.
#pragma once

#include "mp/detail/carried.hpp"
#include "mp/detail/fd_list.hpp"
#include "mp/fd.hpp"

#include "os/secret.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace mp::detail {

/// A secret that travels, and how often the child takes it: it keeps none that it has
/// not asked for.
struct TravellingSecret {
    os::Secret secret;
    std::uint32_t uses = 0;
};

/// Collects descriptors and secrets for one child while it lives.
class SpawningScope final : public TravelScope {
public:
    std::uint32_t add(UniqueFd fd) { return fds_.add(std::move(fd)); }

    /// A descriptor with a key seen before is not sent again: the index it has already.
    std::uint32_t
    add(const TravelKey& key, int fd, const char* what, TakenOver taken) override;

    bool is_for_child() const noexcept override { return true; }

    /// What was collected; the scope collects no more.
    std::vector<UniqueFd> take() noexcept { return fds_.release(); }

    /// The number of a secret; of one that is here already, that one's.
    std::uint32_t add(const os::Secret& secret);

    std::span<const TravellingSecret> secrets() const noexcept { return secrets_; }

private:
    std::vector<TravellingSecret> secrets_;
    FdList fds_;
    std::vector<std::pair<TravelKey, std::uint32_t>> keys_;
};

/// True while this thread serialises for a child that is being started.
bool spawning() noexcept;

/// True when add() of this thread's scope would take a descriptor with that key.
bool can_hand_over(const TravelKey& key) noexcept;

/// Duplicates `fd` into what travels with a child that is being started, or with a call
/// for one; returns its index there. Throws StateError when there is no such thing:
/// "what" names the object for the text. `key` says what it belongs to.
std::uint32_t
hand_over(int fd, const char* what = "this object", const TravelKey& key = nullptr);

/// Gives `fd` itself, with its number, to what travels with a child that is being
/// started. Throws StateError when there is no such thing.
std::uint32_t hand_over(UniqueFd fd);

/// The same for a descriptor that several objects share: it travels once. `key` is what
/// they share.
std::uint32_t hand_over_once(const TravelKey& key, int fd, const char* what);

/// First, for an object that is one of many in what `key` names. Throws as hand_over().
void hand_over_block(const TravelKey& key, std::size_t offset, const char* what);

/// In the child: the descriptor with that index, of the call that is being decoded, or
/// of those that came when the child was started. The latter can be taken once. Throws
/// SerializationError when there is none (any more).
UniqueFd take_over(std::uint32_t index);

/// In the child, before anything is decoded.
void set_received_fds(std::vector<UniqueFd> fds);

/// Sends a secret beside the bytes that this thread serialises for a child that is
/// being started. Returns its number there. Throws StateError with that text where none
/// is.
std::uint32_t hand_over_secret(const os::Secret& secret, const char* refusal);

/// In the child, as often as it was sent (or in that scope): the secret with that
/// number. Throws SerializationError when there is none (any more).
os::Secret take_over_secret(std::uint32_t index);

/// In the child, before anything is decoded.
void set_received_secrets(std::vector<TravellingSecret> secrets);

/// This thread's innermost scope, or null.
TravelScope* travel_scope() noexcept;

/// What came with the call that this thread decodes, or null.
const Carried* arrived_with_call() noexcept;

}  // namespace mp::detail
