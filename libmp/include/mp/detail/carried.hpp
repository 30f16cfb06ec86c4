// SPDX-License-Identifier: BSL-1.0
// carried: what goes with bytes that hold shared objects: their descriptors, and which
// objects they are. A TravelScope says where they go while this thread serialises.
// Python:  multiprocessing.context's spawning_popen, and popen.duplicate_for_child.
// Differs: a call keeps its descriptors beside its bytes, so it may be made long before
//          the child is started that is to run it, and after the objects are gone.
// Threads: a scope belongs to the thread that made it; a Carried that is complete, any.
// Owns:    duplicates of the descriptors.
#pragma once

#include "mp/fd.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace mp::detail {

/// What a descriptor belongs to: two handles of one thing have the same. It keeps the
/// thing, so that no other can have its address meanwhile.
using TravelKey = std::shared_ptr<const void>;

class Carried {
public:
    /// Returns its place. A key that is known already keeps its place.
    std::uint32_t add(const TravelKey& key, int fd);

    /// A block of what `key` names is among the objects.
    void add_block(const TravelKey& key, std::size_t offset);

    /// In the process that got it: the next descriptor.
    void add_received(UniqueFd fd);

    /// All that `other` has, behind what is here.
    void append(const Carried& other);

    bool empty() const noexcept { return fds_.empty(); }

    std::size_t size() const noexcept { return fds_.size(); }

    /// Requires: place < size().
    int fd(std::uint32_t place) const noexcept { return fds_[place]->get(); }

    /// The place of that key; nothing_there when it has none.
    std::uint32_t find(const TravelKey& key) const noexcept;
    bool has_block(const TravelKey& key, std::size_t offset) const noexcept;

    static constexpr std::uint32_t nothing_there = ~std::uint32_t{0};

private:
    struct Block {
        const void* key;
        std::size_t offset;
    };

    std::vector<TravelKey> keys_;
    std::vector<std::shared_ptr<const UniqueFd>> fds_;
    std::vector<Block> blocks_;
};

/// How often the other process takes a descriptor that came once.
enum class TakenOver : std::uint8_t {
    by_each,  ///< each handle takes one: it has to come for each
    once,     ///< the first handle takes it for all
};

/// Where descriptors go that this thread serialises while it lives; the innermost
/// counts.
class TravelScope {
public:
    TravelScope(const TravelScope&) = delete;
    TravelScope& operator=(const TravelScope&) = delete;

    /// Returns the number by which the other process finds it. An empty key: it is not
    /// like any other. Throws StateError, naming `what`, where it cannot go.
    virtual std::uint32_t
    add(const TravelKey& key, int fd, const char* what, TakenOver taken) = 0;

    /// To be called first for an object that is a part of what `key` names.
    virtual void
    enter_block(const TravelKey& key, std::size_t offset, const char* what);

    /// Whether a child that is being started gets it, and nobody else.
    virtual bool is_for_child() const noexcept { return false; }

    /// Whether add() would take this one.
    virtual bool takes(const TravelKey& key) const noexcept;

protected:
    TravelScope() noexcept;
    ~TravelScope();

private:
    TravelScope* outer_;
};

/// Collects what goes with a call.
class CarryingScope final : public TravelScope {
public:
    std::uint32_t
    add(const TravelKey& key, int fd, const char* what, TakenOver taken) override;
    void
    enter_block(const TravelKey& key, std::size_t offset, const char* what) override;

    /// What was collected, or null: nothing.
    std::shared_ptr<const Carried> take() noexcept { return std::move(carried_); }

private:
    Carried& carried();

    std::shared_ptr<Carried> carried_;
};

/// Finds what the other process has been given before.
class GivenScope final : public TravelScope {
public:
    /// `given` outlives the scope. `way` ends the error's text: how an object can be
    /// given.
    GivenScope(const Carried& given, const char* way) noexcept
        : given_(given), way_(way) {}

    std::uint32_t
    add(const TravelKey& key, int fd, const char* what, TakenOver taken) override;
    void
    enter_block(const TravelKey& key, std::size_t offset, const char* what) override;
    bool takes(const TravelKey& key) const noexcept override;

private:
    [[noreturn]] void refuse(const char* what) const;

    const Carried& given_;
    const char* way_;
};

/// While it lives, descriptors that this thread loads are duplicates of those there.
class ArrivedScope {
public:
    explicit ArrivedScope(const Carried& carried) noexcept;
    ~ArrivedScope();
    ArrivedScope(const ArrivedScope&) = delete;
    ArrivedScope& operator=(const ArrivedScope&) = delete;

private:
    const Carried* outer_;
};

}  // namespace mp::detail
