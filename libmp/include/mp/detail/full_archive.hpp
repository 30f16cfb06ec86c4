// SPDX-License-Identifier: BSL-1.0
// FullOut and FullIn: Boost archives that know pointers, over the bytes of one message.
// Python:  pickle's memo, and its rule to look a class up by name.
// Differs: lengths and depths are checked, as a message may be cut or hostile; object
//          and class numbers are not: graphs come from authenticated peers only.
// Threads: one at a time.
#pragma once

#include "mp/archive.hpp"

#include <boost/archive/archive_exception.hpp>
#include <boost/archive/basic_archive.hpp>
#include <boost/archive/detail/common_iarchive.hpp>
#include <boost/archive/detail/common_oarchive.hpp>
#include <boost/archive/detail/register_archive.hpp>
#include <boost/serialization/array_optimization.hpp>
#include <boost/serialization/string.hpp>

#include <string>

namespace mp::detail {

class FullOut : public boost::archive::detail::common_oarchive<FullOut> {
public:
    explicit FullOut(ByteWriter& out) : Base(boost::archive::no_header), out_(out) {}

    void save_binary(const void* from, std::size_t size) { out_.bulk(from, size); }

    template <class T>
    void save_array(const boost::serialization::array_wrapper<T>& array, unsigned) {
        out_.bulk(array.address(), array.count() * sizeof(T));
    }

private:
    using Base = boost::archive::detail::common_oarchive<FullOut>;
    friend class boost::archive::detail::interface_oarchive<FullOut>;
    friend class boost::archive::save_access;

    template <class T>
    void save_override(T& value) {
        Base::save_override(value);
    }

    template <class T>
    void save_override(T* const& pointer) {
        const Nesting nesting(depth_, Direction::encode);
        Base::save_override(pointer);
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
    // One thread at a time.
    int depth_ = 0;
};

class FullIn : public boost::archive::detail::common_iarchive<FullIn> {
public:
    explicit FullIn(ByteReader& in) : Base(boost::archive::no_header), in_(in) {}

    void load_binary(void* to, std::size_t size) { in_.bulk(to, size); }

    template <class T>
    void load_array(boost::serialization::array_wrapper<T>& array, unsigned) {
        in_.bulk(array.address(), array.count() * sizeof(T));
    }

private:
    using Base = boost::archive::detail::common_iarchive<FullIn>;
    friend class boost::archive::detail::interface_iarchive<FullIn>;
    friend class boost::archive::load_access;

    template <class T>
    void load_override(T& value) {
        Base::load_override(value);
    }

    template <class T>
    void load_override(T*& pointer) {
        const Nesting nesting(depth_, Direction::decode);
        Base::load_override(pointer);
    }

    void load_override(boost::archive::class_id_optional_type&) {}

    void load_override(boost::archive::class_id_type& id);
    void load_override(boost::archive::class_name_type& name);
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

    // Set once in the constructor.
    ByteReader& in_;
    // One thread at a time.
    int depth_ = 0;
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
