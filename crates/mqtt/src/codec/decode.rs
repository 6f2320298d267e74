//! From a frame to a packet.

use super::{Frame, connect_version};
use crate::packet::{
    Ack, Auth, Codes, Connack, Connect, Disconnect, Packet, Publish, QoS, Subscribe,
    SubscriptionOptions, Unsubscribe, Version, Will,
};
use crate::property::{Place, Properties};
use crate::read::Reader;
use crate::reason::{ProtocolError, ReasonCode};

type Result<T> = std::result::Result<T, ProtocolError>;

/// Reads one packet. A CONNECT is read in the version it asks for; `version` is that of the
/// connection for every other packet.
///
/// # Errors
/// The reason code that the specification gives, for a DISCONNECT or a refusing CONNACK.
pub fn decode<'a>(frame: &Frame<'a>, version: Version) -> Result<Packet<'a>> {
    let kind = frame.first >> 4;
    if matches!(kind, 6 | 8 | 10) && frame.first & 0b1000 != 0 && version != Version::V31 {
        return Err(ProtocolError::malformed("reserved bits of the first byte"));
    }
    let mut reader = Reader::new(frame.body);
    let r = &mut reader;
    let packet = match kind {
        1 => Packet::Connect(Box::new(connect(frame)?)),
        2 => Packet::Connack(connack(r, version)?),
        3 => return publish(r, frame.first, version).map(Packet::Publish),
        4 => Packet::Puback(ack(r, version)?),
        5 => Packet::Pubrec(ack(r, version)?),
        6 => Packet::Pubrel(ack(r, version)?),
        7 => Packet::Pubcomp(ack(r, version)?),
        8 => Packet::Subscribe(subscribe(r, version)?),
        9 => Packet::Suback(codes(r, version)?),
        10 => Packet::Unsubscribe(unsubscribe(r, version)?),
        11 => Packet::Unsuback(codes(r, version)?),
        12 => Packet::Pingreq,
        13 => Packet::Pingresp,
        14 => Packet::Disconnect(disconnect(r, version)?),
        15 if version.is_v5() => Packet::Auth(auth(r)?),
        _ => return Err(ProtocolError::malformed("packet type of another version")),
    };
    if kind != 1 && !reader.is_empty() {
        return Err(ProtocolError::malformed("bytes behind the end of the packet"));
    }
    Ok(packet)
}

fn properties<'a>(r: &mut Reader<'a>, version: Version, place: Place) -> Result<Properties<'a>> {
    if version.is_v5() { Properties::read(r, place) } else { Ok(Properties::EMPTY) }
}

fn connect<'a>(frame: &Frame<'a>) -> Result<Connect<'a>> {
    let version = connect_version(frame)?;
    let mut reader = Reader::new(frame.body);
    let r = &mut reader;
    r.binary()?;
    r.u8()?;
    let flags = r.u8()?;
    check_connect_flags(flags, version)?;
    let keep_alive = r.u16()?;
    let properties = properties(r, version, Place::Connect)?;
    let client_id = r.string()?;
    let will = if flags & 0b100 != 0 { Some(will(r, flags, version)?) } else { None };
    let username = if flags & 0x80 != 0 { Some(r.string()?) } else { None };
    let password = if flags & 0x40 != 0 { Some(r.binary()?) } else { None };
    if !r.is_empty() {
        return Err(ProtocolError::malformed("bytes behind the end of the packet"));
    }
    Ok(Connect {
        version,
        clean_start: flags & 0b10 != 0,
        keep_alive,
        client_id,
        will,
        username,
        password,
        properties,
    })
}

/// [MQTT-3.1.2-3] [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.2-22]
fn check_connect_flags(flags: u8, version: Version) -> Result<()> {
    if flags & 1 != 0 {
        return Err(ProtocolError::malformed("reserved bit of the connect flags"));
    }
    if flags & 0b100 == 0 && flags & 0b11_1000 != 0 {
        return Err(ProtocolError::malformed("will QoS or will retain without a will"));
    }
    if flags >> 3 & 0b11 == 3 {
        return Err(ProtocolError::malformed("will QoS 3"));
    }
    if !version.is_v5() && flags & 0xC0 == 0x40 {
        return Err(ProtocolError::malformed("password without a user name"));
    }
    Ok(())
}

fn will<'a>(r: &mut Reader<'a>, flags: u8, version: Version) -> Result<Will<'a>> {
    let properties = properties(r, version, Place::Will)?;
    let topic = r.string()?;
    let payload = r.binary()?;
    let qos = QoS::from_bits(flags >> 3 & 0b11).ok_or(ProtocolError::malformed("will QoS 3"))?;
    Ok(Will { qos, retain: flags & 0x20 != 0, topic, payload, properties })
}

fn connack<'a>(r: &mut Reader<'a>, version: Version) -> Result<Connack<'a>> {
    let flags = r.u8()?;
    if flags & !1 != 0 {
        return Err(ProtocolError::malformed("reserved bits of the connack flags"));
    }
    let code = r.u8()?;
    let reason = if version.is_v5() { reason(code)? } else { refusal_311(code)? };
    let properties = properties(r, version, Place::Connack)?;
    Ok(Connack { session_present: flags == 1, reason, properties })
}

fn refusal_311(code: u8) -> Result<ReasonCode> {
    Ok(match code {
        0 => ReasonCode::Success,
        1 => ReasonCode::UnsupportedProtocolVersion,
        2 => ReasonCode::ClientIdentifierNotValid,
        3 => ReasonCode::ServerUnavailable,
        4 => ReasonCode::BadUserNameOrPassword,
        5 => ReasonCode::NotAuthorized,
        _ => return Err(ProtocolError::malformed("unknown connack return code")),
    })
}

fn reason(code: u8) -> Result<ReasonCode> {
    ReasonCode::from_wire(code).ok_or(ProtocolError::malformed("unknown reason code"))
}

fn publish<'a>(r: &mut Reader<'a>, first: u8, version: Version) -> Result<Publish<'a>> {
    let qos = QoS::from_bits(first >> 1 & 0b11).ok_or(ProtocolError::malformed("QoS 3"))?;
    let dup = first & 0b1000 != 0;
    if dup && qos == QoS::AtMostOnce {
        // [MQTT-3.3.1-2]
        return Err(ProtocolError::malformed("DUP with QoS 0"));
    }
    let topic = r.string()?;
    let packet_id = if qos == QoS::AtMostOnce { None } else { Some(r.packet_id()?) };
    let properties = properties(r, version, Place::Publish)?;
    let payload = r.take_rest();
    Ok(Publish { dup, qos, retain: first & 1 != 0, packet_id, topic, properties, payload })
}

/// In 5.0 the reason and the properties may be left out (section 3.4.2.1).
fn ack<'a>(r: &mut Reader<'a>, version: Version) -> Result<Ack<'a>> {
    let packet_id = r.packet_id()?;
    if !version.is_v5() || r.is_empty() {
        return Ok(Ack::new(packet_id, ReasonCode::Success));
    }
    let reason = reason(r.u8()?)?;
    let properties =
        if r.is_empty() { Properties::EMPTY } else { Properties::read(r, Place::Ack)? };
    Ok(Ack { packet_id, reason, properties })
}

fn subscribe<'a>(r: &mut Reader<'a>, version: Version) -> Result<Subscribe<'a>> {
    let packet_id = r.packet_id()?;
    let properties = properties(r, version, Place::Subscribe)?;
    let mut filters = Vec::new();
    while !r.is_empty() {
        let filter = r.string()?;
        let bits = r.u8()?;
        if version.is_v5() && (bits & 0b11 == 3 || bits >> 4 & 0b11 == 3) {
            return Err(ProtocolError::protocol("QoS 3 or retain handling 3"));
        }
        let options = SubscriptionOptions::from_bits(bits)
            .filter(|o| version.is_v5() || *o == SubscriptionOptions::qos(o.qos))
            .ok_or(ProtocolError::malformed("reserved bits of the subscription options"))?;
        filters.push((filter, options));
    }
    if filters.is_empty() {
        // [MQTT-3.8.3-2]
        return Err(ProtocolError::protocol("SUBSCRIBE without a filter"));
    }
    Ok(Subscribe { packet_id, properties, filters })
}

fn codes<'a>(r: &mut Reader<'a>, version: Version) -> Result<Codes<'a>> {
    let packet_id = r.packet_id()?;
    let properties = properties(r, version, Place::Codes)?;
    let reasons = r.take_rest().iter().map(|&code| reason(code)).collect::<Result<_>>()?;
    Ok(Codes { packet_id, properties, reasons })
}

fn unsubscribe<'a>(r: &mut Reader<'a>, version: Version) -> Result<Unsubscribe<'a>> {
    let packet_id = r.packet_id()?;
    let properties = properties(r, version, Place::Unsubscribe)?;
    let mut filters = Vec::new();
    while !r.is_empty() {
        filters.push(r.string()?);
    }
    if filters.is_empty() {
        // [MQTT-3.10.3-2]
        return Err(ProtocolError::protocol("UNSUBSCRIBE without a filter"));
    }
    Ok(Unsubscribe { packet_id, properties, filters })
}

fn disconnect<'a>(r: &mut Reader<'a>, version: Version) -> Result<Disconnect<'a>> {
    let (reason, properties) = reason_and_properties(r, version, Place::Disconnect)?;
    Ok(Disconnect { reason, properties })
}

fn auth<'a>(r: &mut Reader<'a>) -> Result<Auth<'a>> {
    let (reason, properties) = reason_and_properties(r, Version::V5, Place::Auth)?;
    Ok(Auth { reason, properties })
}

/// Both may be left out when the reason is success (sections 3.14.2.1, 3.15.2.1).
fn reason_and_properties<'a>(
    r: &mut Reader<'a>,
    version: Version,
    place: Place,
) -> Result<(ReasonCode, Properties<'a>)> {
    if !version.is_v5() || r.is_empty() {
        return Ok((ReasonCode::Success, Properties::EMPTY));
    }
    let reason = reason(r.u8()?)?;
    let properties = if r.is_empty() { Properties::EMPTY } else { Properties::read(r, place)? };
    Ok((reason, properties))
}
