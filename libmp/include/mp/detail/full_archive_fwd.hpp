// SPDX-License-Identifier: BSL-1.0
// What OutArchive and InArchive need of the full archive, without its headers: a
// message that has no pointers never makes one.
// Python:  pickle.Pickler.memo and pickle.Unpickler.memo: objects that are met twice.
#pragma once

#include "mp/detail/bytes.hpp"

#include <boost/serialization/library_version_type.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <typeinfo>

namespace mp::detail {

class FullOut;
class FullIn;

/// What pointers need. Defined in <mp/serialization.hpp>: a compiler that finds this
/// incomplete asks for that header, where the pointer is archived.
template <class T>
struct PointersNeedTheHeaderMpSerialization;

struct DeleteFull {
    void operator()(FullOut* full) const noexcept;
    void operator()(FullIn* full) const noexcept;
};

std::unique_ptr<FullOut, DeleteFull> make_full(ByteWriter& out);
std::unique_ptr<FullIn, DeleteFull> make_full(ByteReader& in);
void save_tracked(FullOut& full, const void* object, const std::type_info& type);
void load_tracked(FullIn& full, void* object, const std::type_info& type);

/// Bytes moved, with the objects that stand in them and were read since the object of
/// that number.
struct ObjectMove {
    const void* to;
    const void* from;
    std::size_t size;
    std::uint32_t since;
    /// What those objects own elsewhere in memory has stayed there.
    bool keeps_owned;
};

std::uint32_t objects_read(FullIn& full) noexcept;
/// How many there were before the last one, and what is in it.
std::uint32_t last_object(FullIn& full) noexcept;
/// Both throw SerializationError if a pointer to an object would be left behind.
void note_move(FullIn& full, const ObjectMove& move);
/// A function has returned whose variables may have been read into, as objects since
/// that number.
void note_return(FullIn& full, std::uint32_t since);
/// The last object has moved, of which nothing but the address is known.
void note_move_of_unknown(FullIn& full, const void* to, const void* from);

/// A value that has been read, with what stands in it.
struct ReadValue {
    const void* place;
    std::size_t size;
    /// It is returned to a caller.
    bool moves;
};

/// Throws SerializationError if a pointer was read to a variable of a function that has
/// returned, or to a part of a value that moves.
void check_pointers_into(FullIn& full, const ReadValue& value);

/// For functions that read containers, from either archive.
struct ElementMoves {
    template <class Archive>
    static std::uint32_t objects_read(const Archive& in) noexcept {
        return in.objects_read();
    }

    template <class Archive, class T>
    static void note(
        Archive& in, const T* to, const T* from, std::size_t count, std::uint32_t since
    ) {
        in.note_move(to, from, count, since);
    }
};

/// What is said when all of a value has been read.
struct ReadEnd {
    /// See check_pointers_into(): `value` stays where it is, or is returned.
    template <class Archive, class T>
    static void check(Archive& archive, const T& value, bool moves) {
        if (archive.full_) [[unlikely]] {
            check_pointers_into(
                *archive.full_,
                {.place = std::addressof(value), .size = sizeof(T), .moves = moves}
            );
        }
    }
};

/// Of Boost's archives in this program.
boost::serialization::library_version_type library_version();

}  // namespace mp::detail
