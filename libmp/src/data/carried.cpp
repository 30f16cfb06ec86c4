// SPDX-License-Identifier: BSL-1.0
#include "mp/detail/carried.hpp"

#include "mp/errors.hpp"

#include "data/spawning.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace mp::detail {
namespace {

thread_local TravelScope* current_scope = nullptr;
thread_local const Carried* arrived = nullptr;

}  // namespace

// ---- Carried

std::uint32_t Carried::find(const TravelKey& key) const noexcept {
    const auto known = std::find(keys_.begin(), keys_.end(), key);
    return key == nullptr || known == keys_.end()
               ? nothing_there
               : static_cast<std::uint32_t>(known - keys_.begin());
}

bool Carried::has_block(const TravelKey& key, std::size_t offset) const noexcept {
    return std::any_of(blocks_.begin(), blocks_.end(), [&](const Block& block) {
        return block.key == key.get() && block.offset == offset;
    });
}

std::uint32_t Carried::add(const TravelKey& key, int fd) {
    const std::uint32_t known = find(key);
    if (known != nothing_there) {
        return known;
    }
    auto copy = std::make_shared<const UniqueFd>(UniqueFd::duplicate_of(fd));
    keys_.reserve(keys_.size() + 1);
    fds_.push_back(std::move(copy));
    keys_.push_back(key);
    return static_cast<std::uint32_t>(fds_.size() - 1);
}

void Carried::add_block(const TravelKey& key, std::size_t offset) {
    if (!has_block(key, offset)) {
        blocks_.push_back({key.get(), offset});
    }
}

void Carried::add_received(UniqueFd fd) {
    auto owned = std::make_shared<const UniqueFd>(std::move(fd));
    keys_.reserve(keys_.size() + 1);
    fds_.push_back(std::move(owned));
    keys_.emplace_back();
}

void Carried::append(const Carried& other) {
    keys_.insert(keys_.end(), other.keys_.begin(), other.keys_.end());
    fds_.insert(fds_.end(), other.fds_.begin(), other.fds_.end());
    blocks_.insert(blocks_.end(), other.blocks_.begin(), other.blocks_.end());
}

// ---- scopes

TravelScope::TravelScope() noexcept : outer_(std::exchange(current_scope, this)) {}

TravelScope::~TravelScope() {
    current_scope = outer_;
}

void TravelScope::enter_block(
    const TravelKey& /*key*/, std::size_t /*offset*/, const char* /*what*/
) {}

bool TravelScope::takes(const TravelKey& /*key*/) const noexcept {
    return true;
}

Carried& CarryingScope::carried() {
    if (!carried_) {
        carried_ = std::make_shared<Carried>();
    }
    return *carried_;
}

std::uint32_t CarryingScope::add(
    const TravelKey& key, int fd, const char* /*what*/, TakenOver /*taken*/
) {
    return carried().add(key, fd);
}

void CarryingScope::
    enter_block(const TravelKey& key, std::size_t offset, const char* /*what*/) {
    carried().add_block(key, offset);
}

std::uint32_t GivenScope::add(
    const TravelKey& key, int /*fd*/, const char* what, TakenOver /*taken*/
) {
    const std::uint32_t place = given_.find(key);
    if (place == Carried::nothing_there) {
        refuse(what);
    }
    return place;
}

void GivenScope::enter_block(
    const TravelKey& key, std::size_t offset, const char* what
) {
    if (!given_.has_block(key, offset)) {
        refuse(what);
    }
}

bool GivenScope::takes(const TravelKey& key) const noexcept {
    return given_.find(key) != Carried::nothing_there;
}

void GivenScope::refuse(const char* what) const {
    throw StateError(std::string(what) + way_);
}

ArrivedScope::ArrivedScope(const Carried& carried) noexcept
    : outer_(std::exchange(arrived, &carried)) {}

ArrivedScope::~ArrivedScope() {
    arrived = outer_;
}

// ---- for objects that travel

TravelScope* travel_scope() noexcept {
    return current_scope;
}

const Carried* arrived_with_call() noexcept {
    return arrived;
}

}  // namespace mp::detail
