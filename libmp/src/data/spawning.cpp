// SPDX-License-Identifier: BSL-1.0
// The scope of the thread that starts a child, and what a child has received.
#include "data/spawning.hpp"

#include "mp/errors.hpp"

#include <string>
#include <utility>

namespace mp::detail {
namespace {

// Filled once, by the thread in which the child begins, before it runs user code.
FdList& received_fds() {
    static auto* const fds = new FdList;
    return *fds;
}

std::vector<TravellingSecret>& received_secrets() {
    static auto* const secrets = new std::vector<TravellingSecret>;
    return *secrets;
}

// This thread's, while it serialises for a child.
SpawningScope* spawning_scope() noexcept {
    return spawning() ? static_cast<SpawningScope*>(travel_scope()) : nullptr;
}

TravelScope& scope_for(const char* what) {
    TravelScope* const scope = travel_scope();
    if (scope == nullptr) {
        throw StateError(
            std::string(what) +
            " is shared between processes only by passing it to a process "
            "that is being started, or in the mp::call() that initialises the workers "
            "of a pool"
        );
    }
    return *scope;
}

}  // namespace

std::uint32_t SpawningScope::add(
    const TravelKey& key, int fd, const char* /*what*/, TakenOver taken
) {
    if (taken == TakenOver::by_each) {
        return add(UniqueFd::duplicate_of(fd));
    }
    for (const auto& [known, index] : keys_) {
        if (known == key) {
            return index;
        }
    }
    keys_.emplace_back(key, add(UniqueFd::duplicate_of(fd)));
    return keys_.back().second;
}

std::uint32_t SpawningScope::add(const os::Secret& secret) {
    for (std::size_t i = 0; i < secrets_.size(); ++i) {
        if (secret.first() == secrets_[i].secret.first()) {
            ++secrets_[i].uses;
            return static_cast<std::uint32_t>(i);
        }
    }
    secrets_.push_back({.secret = secret, .uses = 1});
    return static_cast<std::uint32_t>(secrets_.size() - 1);
}

bool spawning() noexcept {
    return travel_scope() != nullptr && travel_scope()->is_for_child();
}

bool can_hand_over(const TravelKey& key) noexcept {
    return travel_scope() != nullptr && travel_scope()->takes(key);
}

std::uint32_t hand_over(int fd, const char* what, const TravelKey& key) {
    return scope_for(what).add(key, fd, what, TakenOver::by_each);
}

std::uint32_t hand_over(UniqueFd fd) {
    SpawningScope* const scope = spawning_scope();
    if (scope == nullptr) {
        throw StateError("no child is being started");
    }
    return scope->add(std::move(fd));
}

std::uint32_t hand_over_once(const TravelKey& key, int fd, const char* what) {
    return scope_for(what).add(key, fd, what, TakenOver::once);
}

void hand_over_block(const TravelKey& key, std::size_t offset, const char* what) {
    scope_for(what).enter_block(key, offset, what);
}

UniqueFd take_over(std::uint32_t index) {
    if (const Carried* const carried = arrived_with_call()) {
        if (index < carried->size()) {
            return UniqueFd::duplicate_of(carried->fd(index));
        }
        throw SerializationError(
            SerializationPhase::decode,
            "descriptor " + std::to_string(index) + " of " +
                std::to_string(carried->size()) + " did not travel with this call"
        );
    }
    FdList& fds = received_fds();
    UniqueFd fd = fds.take(index);
    if (!fd) {
        throw SerializationError(
            SerializationPhase::decode,
            "descriptor " + std::to_string(index) + " of " +
                std::to_string(fds.size()) +
                " did not travel with this process, or was taken before"
        );
    }
    return fd;
}

std::uint32_t hand_over_secret(const os::Secret& secret, const char* refusal) {
    SpawningScope* const scope = spawning_scope();
    if (scope == nullptr) {
        throw StateError(refusal);
    }
    return scope->add(secret);
}

os::Secret take_over_secret(std::uint32_t index) {
    if (const SpawningScope* const scope = spawning_scope()) {
        if (index < scope->secrets().size()) {
            return scope->secrets()[index].secret;
        }
    } else if (auto& secrets = received_secrets();
               index < secrets.size() && secrets[index].uses > 0) {
        TravellingSecret& one = secrets[index];
        return --one.uses == 0 ? std::exchange(one.secret, os::Secret()) : one.secret;
    }
    throw SerializationError(
        SerializationPhase::decode,
        "key " + std::to_string(index) +
            " did not travel with this process, or was taken before"
    );
}

void set_received_secrets(std::vector<TravellingSecret> secrets) {
    received_secrets() = std::move(secrets);
}

void set_received_fds(std::vector<UniqueFd> fds) {
    received_fds() = FdList(std::move(fds));
}

}  // namespace mp::detail
