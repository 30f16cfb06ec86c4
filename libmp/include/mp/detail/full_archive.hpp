// SPDX-License-Identifier: BSL-1.0
// FullOut and FullIn: Boost archives that know pointers, over the bytes of one message.
// Python:  pickle's memo, and its rule to look a class up by name.
// Differs: what is read is checked, as a message may be cut or hostile: lengths and
//          depths, and every number of a class or an object before a pointer is made.
// Threads: one at a time.
// Read next: mp/detail/object_table.hpp
#pragma once

#include "mp/archive.hpp"
#include "mp/detail/object_table.hpp"
#include "mp/detail/room_ahead.hpp"

#include <boost/archive/archive_exception.hpp>
#include <boost/archive/basic_archive.hpp>
#include <boost/archive/detail/common_iarchive.hpp>
#include <boost/archive/detail/common_oarchive.hpp>
#include <boost/archive/detail/register_archive.hpp>
#include <boost/serialization/array_optimization.hpp>
#include <boost/serialization/extended_type_info.hpp>
#include <boost/serialization/singleton.hpp>
#include <boost/serialization/string.hpp>
#include <boost/serialization/type_info_implementation.hpp>

#include <cstring>
#include <string>
#include <typeinfo>
#include <vector>

namespace mp::detail {

using boost::archive::detail::basic_iserializer;
using boost::archive::detail::basic_oserializer;
using boost::archive::detail::basic_pointer_iserializer;
using boost::archive::detail::basic_pointer_oserializer;

/// Boost asks save_object() and load_object() about objects of T.
template <class T>
inline constexpr bool has_class_record =
    std::is_class_v<T>&&
            boost::serialization::implementation_level<std::remove_const_t<T>>::value !=
        boost::serialization::primitive_type &&
    (has_class_version<std::remove_const_t<T>> ||
     !is_never_tracked<std::remove_const_t<T>>);

/// It calls serialize() at once: one level that would not be counted otherwise. Not
/// those that only wrap another.
template <class T>
inline constexpr bool is_only_passed_on =
    std::is_class_v<T> && !has_class_record<T> &&
    boost::serialization::implementation_level<std::remove_const_t<T>>::value !=
        boost::serialization::primitive_type &&
    !boost::serialization::is_wrapper<std::remove_const_t<T>>::type::value;

/// An array of numbers.
template <class T>
inline constexpr bool is_block =
    std::is_array_v<T>&& std::is_arithmetic_v<std::remove_all_extents_t<T>> &&
    !std::is_same_v<std::remove_cv_t<std::remove_all_extents_t<T>>, bool>;

class FullOut : public boost::archive::detail::common_oarchive<FullOut> {
public:
    explicit FullOut(ByteWriter& out) : Base(boost::archive::no_header), out_(out) {}

    void save_binary(const void* from, std::size_t size) { out_.bulk(from, size); }

    template <class T>
    void save_array(const boost::serialization::array_wrapper<T>& array, unsigned) {
        out_.bulk(array.address(), array.count() * sizeof(T));
    }

    /// Boost's own, and counted.
    void save_object(const void* object, const basic_oserializer& type);
    void save_pointer(const void* object, const basic_pointer_oserializer* type);

    std::size_t written() const noexcept { return out_.size(); }

    RoomNeeded& needed() noexcept { return needed_; }

    /// Bytes that say nothing.
    void pad(std::size_t bytes) {
        if (bytes != 0) {
            std::memset(out_.extend(bytes), 0, bytes);
        }
    }

private:
    using Base = boost::archive::detail::common_oarchive<FullOut>;
    friend class boost::archive::detail::interface_oarchive<FullOut>;
    friend class boost::archive::save_access;

    template <class T>
    void save_override(T& value) {
        if constexpr (is_block<T>) {  // without its size, which both sides know
            out_.bulk(&value, sizeof value);
        } else if constexpr (std::is_array_v<T>) {
            for (const auto& element : value) {
                *this << element;
            }
        } else if constexpr (is_only_passed_on<T>) {
            const Nesting nesting(Direction::encode, max_nested_in_graph);
            Base::save_override(value);
        } else {
            Base::save_override(value);
        }
    }

    // Said in XML archives only.
    void save_override(const boost::archive::class_id_optional_type&) {}

    void save_override(const boost::archive::class_name_type& name) {
        save(std::string(static_cast<const char*>(name)));
    }

    template <class T>
    void save(const T& value) {
        out_.put(&value, sizeof(T));
    }

    void save(const std::string& text) { save_text(text); }

    void save(const std::wstring& text) { save_text(text); }

    template <class Text>
    void save_text(const Text& text) {
        out_.put_value(std::uint64_t{text.size()});
        out_.bulk(text.data(), text.size() * sizeof(text[0]));
    }

    // Set once in the constructor.
    ByteWriter& out_;
    RoomNeeded needed_;
    // One thread at a time. What save_pointer() is about to save.
    const void* pointee_ = nullptr;
    const basic_oserializer* pointee_type_ = nullptr;
};

class FullIn : public boost::archive::detail::common_iarchive<FullIn> {
public:
    explicit FullIn(ByteReader& in)
        : Base(boost::archive::no_header), in_(in), room_(in.left()) {}

    void load_binary(void* to, std::size_t size) { in_.bulk(to, size); }

    template <class T>
    void load_array(boost::serialization::array_wrapper<T>& array, unsigned) {
        in_.bulk(array.address(), array.count() * sizeof(T));
    }

    /// Reads a pointer that holds its object in this way. Returns the object's number,
    /// or ObjectTable::none.
    template <class T>
    ObjectTable::Number load_held(T*& pointer, Hold hold) {
        pointer = nullptr;
        next_hold_ = hold;
        *this >> pointer;
        return pointed_at_;
    }

    /// How the next shared pointer that is read holds its object.
    void hold_next_shared(Hold hold) noexcept { hold_of_shared_ = hold; }

    Hold take_hold_of_shared() noexcept {
        return std::exchange(hold_of_shared_, Hold::shared);
    }

    ObjectTable& objects() noexcept { return objects_; }

    /// The last value that was read is what has been read since.
    void set_last_object(ObjectTable::Number since) noexcept { last_object_ = since; }

    std::uint32_t last_object() const noexcept { return last_object_; }

    RoomAhead& room() noexcept { return room_; }

    RoomNeeded& needed() noexcept { return needed_; }

    std::size_t left() const noexcept { return in_.left(); }

    void skip(std::size_t bytes) { in_.view(bytes); }

    // ---- what Boost's templates call, instead of what its base class has

    void register_basic_serializer(const basic_iserializer& type) { number_of(type); }

    void load_object(void* object, const basic_iserializer& type);

    const basic_pointer_iserializer* load_pointer(
        void*& pointer,
        const basic_pointer_iserializer* expected,
        const basic_pointer_iserializer* (*find
        )(const boost::serialization::extended_type_info&)
    );

    template <class T>
    void reset_object_address(const T* to, const T* from) {
        note_move(to, from, 1, last_object_);
    }

    void reset_object_address(const void* to, const void* from) {
        // What else stands in it cannot be told from what it owns elsewhere.
        objects_.move(
            {.to = to,
             .from = from,
             .size = 1,
             .since = last_object_,
             .keeps_owned = false}
        );
    }

    void delete_created_pointers() {
        // Nothing: what has an owner goes with it.
    }

private:
    friend struct ElementMoves;
    using Base = boost::archive::detail::common_iarchive<FullIn>;
    friend class boost::archive::detail::interface_iarchive<FullIn>;
    friend class boost::archive::load_access;
    using ExtendedType = boost::serialization::extended_type_info;

    template <class T>
    void load_override(T& value) {
        if constexpr (is_block<T>) {
            in_.bulk(&value, sizeof value);
        } else if constexpr (std::is_array_v<T>) {
            for (auto& element : value) {
                *this >> element;
            }
        } else if constexpr (is_only_passed_on<T>) {
            const Nesting nesting(Direction::decode, max_nested_in_graph);
            const ObjectTable::Number begin = objects_.size();
            Base::load_override(value);
            last_object_ = begin;
        } else {
            if constexpr (has_class_record<T>) {
                never_tracked_ = is_never_tracked<std::remove_const_t<T>>;
            }
            Base::load_override(value);
        }
    }

    template <class T>
    void load_override(T*& pointer) {
        using Named = std::remove_const_t<T>;
        using Type =
            typename boost::serialization::type_info_implementation<Named>::type;
        asked_ = {
            .type = &boost::serialization::singleton<Type>::get_const_instance(),
            .info = &typeid(Named),
            .polymorphic = std::is_polymorphic_v<Named>,
            .hold = std::exchange(next_hold_, Hold::raw)};
        Base::load_override(pointer);
    }

    void load_override(boost::archive::class_id_optional_type&) {}

    // Boost's base class has a use for it, and is not asked.
    void load_override(boost::archive::class_name_type&) {}

    void load_override(boost::serialization::collection_size_type& size);

    // Boost calls load(); its virtual vload() is another thing.
    // NOLINTBEGIN(bugprone-virtual-near-miss)
    template <class T>
    void load(T& value) {
        in_.get(&value, sizeof(T));
    }

    void load(bool& value) { value = in_.get_value<std::uint8_t>() != 0; }

    void load(boost::archive::tracking_type& value) {
        value = in_.get_value<std::uint8_t>() != 0;
    }

    void load(std::string& text) { load_text(text); }

    // NOLINTEND(bugprone-virtual-near-miss)

    void load(std::wstring& text) { load_text(text); }

    template <class Text>
    void load_text(Text& text) {
        const auto count = in_.get_value<std::uint64_t>();
        if (count > in_.left() / sizeof(text[0])) {
            throw_bad_length(count, in_.left());
        }
        text.resize(static_cast<std::size_t>(count));
        in_.bulk(text.data(), text.size() * sizeof(text[0]));
    }

    /// A class of the message: as this program knows it, and as the message says.
    struct Class {
        const basic_iserializer* type;
        const basic_pointer_iserializer* pointee_type;
        bool described = false;
        bool tracked = false;
        unsigned version = 0;
    };

    /// What the pointer that is being read may point to.
    struct Asked {
        const ExtendedType* type = nullptr;
        const std::type_info* info = nullptr;
        bool polymorphic = false;
        Hold hold = Hold::raw;
    };

    /// The object behind a pointer whose contents are read next.
    struct Pointee {
        void* address = nullptr;
        const basic_iserializer* type = nullptr;
        unsigned version = 0;
        ObjectTable::Number number = ObjectTable::none;
        const ExtendedType* asked = nullptr;
        bool constructed = false;
    };

    class PointeeScope;

    std::uint32_t objects_read() const noexcept { return objects_.size(); }

    template <class T>
    void note_move(const T* to, const T* from, std::size_t count, std::uint32_t since) {
        objects_.move(
            {.to = to,
             .from = from,
             .size = count * sizeof(T),
             .since = since,
             .keeps_owned = std::is_nothrow_move_constructible_v<T>}
        );
    }

    ObjectTable::Number number_of(const basic_iserializer& type);
    void describe(Class& known);
    void add_class(
        std::size_t number,
        const Asked& asked,
        const basic_pointer_iserializer* expected,
        const basic_pointer_iserializer* (*find)(const ExtendedType&)
    );
    void* load_pointee(ObjectTable::Number number, const Asked& asked);
    void load_in_place(void* object, ObjectTable::Number number);
    void forget_the_dead(ObjectTable::Number since);
    /// The number of an object; at most that of a new one.
    ObjectTable::Number get_object_number();

    // Set once in the constructor.
    ByteReader& in_;
    // One thread at a time.
    RoomAhead room_;
    RoomNeeded needed_;
    ObjectTable objects_;
    std::vector<Class> classes_;
    Asked asked_;
    Pointee pointee_;
    ObjectTable::Number pointed_at_ = ObjectTable::none;
    ObjectTable::Number last_object_ = 0;
    Hold next_hold_ = Hold::raw;
    Hold hold_of_shared_ = Hold::shared;
    bool never_tracked_ = false;
};

template <class Archive>
concept OwnArchive =
    std::is_same_v<Archive, FullOut> || std::is_same_v<Archive, FullIn>;

template <class T>
concept PlainStruct = kind_of<std::remove_const_t<T>>()
== Kind::plain_struct;

}  // namespace mp::detail

namespace boost::serialization {

template <class T>
struct IsBlock
    : mpl::bool_<is_bitwise_serializable<T>::value && !std::is_same_v<T, bool>> {};

/// A plain struct, where Boost's own would ask for its serialize().
template <::mp::detail::OwnArchive Archive, ::mp::detail::PlainStruct T>
void serialize(Archive& archive, T& value, const unsigned int) {
    ::mp::detail::check_members<T>();
    ::mp::detail::pass_members(value, [&archive](auto&... members) {
        ((archive & members), ...);
    });
}

template <>
struct use_array_optimization<::mp::detail::FullOut> {
    template <class T>
    struct apply : IsBlock<std::remove_const_t<T>> {};
};

template <>
struct use_array_optimization<::mp::detail::FullIn> {
    template <class T>
    struct apply : IsBlock<std::remove_const_t<T>> {};
};

}  // namespace boost::serialization

// Ours, so that each registration is noticed (see TrackedClass), and so that a class
// that was exported for other archives only is an error, not a null pointer.
namespace boost::archive::detail {

template <>
bool archive_serializer_map<::mp::detail::FullOut>::insert(const basic_serializer* bs);
template <>
void archive_serializer_map<::mp::detail::FullOut>::erase(const basic_serializer* bs);
template <>
const basic_serializer* archive_serializer_map<
    ::mp::detail::FullOut>::find(const serialization::extended_type_info&);
template <>
bool archive_serializer_map<::mp::detail::FullIn>::insert(const basic_serializer* bs);
template <>
void archive_serializer_map<::mp::detail::FullIn>::erase(const basic_serializer* bs);
template <>
const basic_serializer* archive_serializer_map<
    ::mp::detail::FullIn>::find(const serialization::extended_type_info&);

}  // namespace boost::archive::detail

BOOST_SERIALIZATION_REGISTER_ARCHIVE(::mp::detail::FullOut)
BOOST_SERIALIZATION_REGISTER_ARCHIVE(::mp::detail::FullIn)
