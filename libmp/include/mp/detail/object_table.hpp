// SPDX-License-Identifier: BSL-1.0
// ObjectTable: the objects of a graph that is being read. It believes no number of the
// message: each is looked up, and its object compared with what is asked of it, before
// a pointer is made.
// Python:  pickle's memo.
// Differs: an object has a type, a place and perhaps an owner, which must fit.
// Threads: one at a time.
#pragma once

#include "mp/detail/full_archive_fwd.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace mp::detail {

/// What a pointer is to its object.
enum class Hold : std::uint8_t {
    raw,     ///< names it
    unique,  ///< owns it alone
    shared,  ///< owns it with others
    weak,    ///< names what shared ones own
};

/// The shared owner of one object until the message has been read.
class SharedOwner {
public:
    SharedOwner() = default;
    SharedOwner(const SharedOwner&) = delete;
    SharedOwner& operator=(const SharedOwner&) = delete;
    virtual ~SharedOwner() = default;

    /// The object stays when the last shared pointer goes.
    virtual void spare() noexcept = 0;
};

class ObjectTable {
public:
    using Number = std::uint32_t;
    static constexpr Number none = ~Number{0};

    /// A pointee and how deep its contents begin.
    struct Inside {
        Number pointee = none;
        int depth = 0;
    };

    ObjectTable() noexcept;
    ObjectTable(const ObjectTable&) = delete;
    ObjectTable& operator=(const ObjectTable&) = delete;
    ~ObjectTable();

    Number size() const noexcept { return static_cast<Number>(objects_.size()); }

    /// An object that stands in a place of the reader's.
    Number add_in_place(void* address, Number type);

    /// One that was allocated for a pointer, and is not constructed yet.
    Number add_pointee(void* address, Number type, Hold hold);
    void constructed(Number object) noexcept { objects_[object].constructed = true; }

    /// While the contents of a pointee are read, what is added is inside of it. Returns
    /// the one before. One without a number counts as a part of that.
    Inside enter_pointee(Number pointee) noexcept;
    void leave_pointee(const Inside& outer) noexcept { inside_ = outer; }

    /// A pointer in there owns the object. Throws SerializationError if objects own
    /// each other so deep that their destructors would not fit on the stack.
    void own(Number object, const Inside& owner);

    /// An object that was read in place is met again there. Throws SerializationError
    /// unless it is that one.
    void meet_in_place(Number object, const void* address, Number type) const;

    /// The address of an object that one more pointer holds. Throws SerializationError
    /// unless it is of that type and may be held so.
    void* hold(Number object, Number type, Hold hold);

    /// The owner of an object that shared or weak pointers hold; to be made by the
    /// first of them.
    std::unique_ptr<SharedOwner>& owner_of(Number object);

    /// Throws SerializationError if a pointer was read to one of those that move: it
    /// would stay behind.
    void move(const ObjectMove& move);

    /// All objects since number `since` are gone.
    void lose(Number since) noexcept;

    /// Objects since number `since` on the part of the stack that has been given up are
    /// gone. Throws SerializationError if a pointer was read to one of them.
    void lose_below(std::uintptr_t frame, Number since);

    /// Throws SerializationError if a raw pointer was read to what is gone or moves
    /// now.
    void check_pointers_into(const ReadValue& value) const;

    bool has_some_on_stack() const noexcept { return !on_stack_.empty(); }

    /// True if a shared pointer owns it already.
    bool is_owned(Number object) const noexcept {
        return objects_[object].owner != none;
    }

private:
    struct Object {
        void* address;
        Number type;
        Number pointee;           ///< the innermost one that it was read into, or none
        Number owner = none;      ///< in owners_
        std::uint32_t below = 0;  ///< how deep it owns others
        bool in_place;
        bool constructed;
        bool lost = false;
        bool held_raw = false;
        bool lives = false;     ///< with the value that was read
        Hold held = Hold::raw;  ///< unless raw, how it is owned
    };

    bool is_inside_since(const Object& object, Number since) const noexcept {
        return object.in_place && (object.pointee == none || object.pointee < since);
    }

    /// The pointee that an object lives with: itself, or the one it is a part of.
    Number pointee_of(Number object) const noexcept {
        return objects_[object].in_place ? objects_[object].pointee : object;
    }

    void find_what_lives();
    void spare_holders_of_named();
    void spare(Number object) noexcept;

    std::vector<Object> objects_;
    std::vector<Number> on_stack_;
    struct Owned {
        Number object;
        std::unique_ptr<SharedOwner> owner;
    };
    std::vector<Owned> owners_;
    /// Pointers in one pointee that own another.
    struct Ownership {
        Number object;
        Number owner;
    };
    std::vector<Ownership> ownerships_;
    Inside inside_;
    std::uint32_t deepest_;  ///< that `below` may get
    // All of these are lost.
    Number lost_since_ = 0;
    Number lost_end_ = 0;
};

}  // namespace mp::detail
